//! HTTP connections between requests, and those whose sender has nothing more to say.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

use std::time::Duration;

use game_realtime_e2e::{
    Server, Settings, Store,
    raw::{GUEST, Raw},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(10);
/// For all that a busy machine adds.
const SLACK: Duration = Duration::from_secs(4);

async fn handshake(raw: &mut Raw) {
    let lines = format!("GET {GUEST}?EIO=4&transport=polling HTTP/1.1");
    let answer = raw.request(&lines, b"", PATIENCE).await;
    assert_eq!(answer.as_ref().map(|(status, _)| *status), Some(200), "{answer:?}");
}

#[tokio::test]
async fn a_connection_may_be_idle_for_longer_than_a_head_may_take() {
    let settings = Settings::new(&Store::Memory)
        .with("limits.header_timeout", "500ms")
        .with("limits.keep_alive_timeout", "3s");
    let server = Server::start(&settings).await;
    let mut raw = Raw::connect(server.port()).await.unwrap();
    for _ in 0..3 {
        handshake(&mut raw).await;
        sleep(Duration::from_millis(1500)).await;
    }
    handshake(&mut raw).await;
    let idle = Instant::now();
    assert!(raw.is_closed_within(Duration::from_secs(3) + SLACK).await);
    assert!(idle.elapsed() > Duration::from_millis(2900), "after {:?}", idle.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_has_begun_must_be_finished_in_time_whichever_it_is() {
    let settings = Settings::new(&Store::Memory)
        .with("limits.header_timeout", "500ms")
        .with("limits.keep_alive_timeout", "60s");
    let server = Server::start(&settings).await;
    for requests in 0..3 {
        let mut raw = Raw::connect(server.port()).await.unwrap();
        for _ in 0..requests {
            handshake(&mut raw).await;
        }
        raw.send(b"GET /socket.io/ HTTP/1.1\r\nX: ").await.unwrap();
        let begun = Instant::now();
        // Byte by byte does not make it longer.
        while !raw.is_closed_within(Duration::from_millis(100)).await {
            assert!(begun.elapsed() < SLACK, "after {requests} requests");
            raw.send(b"x").await.ok();
        }
    }
    let mut silent = Raw::connect(server.port()).await.unwrap();
    assert!(silent.is_closed_within(SLACK).await, "the first head has no longer to begin");
    server.stop().await;
}

/// What is answered to a client that sends this and then no more.
async fn answer_to_the_last(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().ok();
    answer
}

#[tokio::test]
async fn a_client_that_sends_no_more_is_answered_on_both_ports() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let (port, admin) = (server.port(), server.admin_port());
    let lines = |line: &str, body: &str| {
        format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let polling = format!("{GUEST}?EIO=4&transport=polling");
    for _ in 0..30 {
        for (port, request, status) in [
            (port, format!("GET {polling} HTTP/1.1\r\nHost: a\r\n\r\n"), "200"),
            (port, lines(&format!("POST {polling}&sid=none"), "40"), "400"),
            (port, lines("OPTIONS /socket.io/", ""), "204"),
            (port, "GET /nowhere HTTP/1.0\r\n\r\n".to_owned(), "404"),
            (admin, "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "200"),
            (admin, "GET /metrics HTTP/1.0\r\n\r\n".to_owned(), "200"),
        ] {
            let answer = answer_to_the_last(port, &request).await;
            assert_eq!(answer.split(' ').nth(1), Some(status), "{request}: {answer:?}");
        }
    }
    server.stop().await;
}
