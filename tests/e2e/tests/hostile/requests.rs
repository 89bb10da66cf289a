//! Requests that are too large, malformed, or nobody's.

use game_realtime_e2e::{
    PATIENCE, Server, Settings, Store,
    raw::{GUEST, Raw},
};

use crate::honest::Honest;

const TWO_MEBIBYTES: usize = 2 << 20;

#[tokio::test]
async fn what_is_no_request_of_ours_is_refused_and_nobody_else_notices() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let mut honest = Honest::connect(&server).await;
    let large = vec![b'4'; TWO_MEBIBYTES];
    let length = format!("Content-Length: {TWO_MEBIBYTES}");
    let poll = format!("{GUEST}?EIO=4&transport=polling");
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
    // 0 stands for a connection that is closed without an answer.
    for (lines, body, expected) in [
        (format!("POST {poll} HTTP/1.1\r\n{length}"), &large[..], &[413][..]),
        (format!("POST {poll}&sid=none HTTP/1.1\r\n{length}"), &large, &[413]),
        (format!("POST {poll}&sid=none HTTP/1.1\r\nContent-Length: 2"), b"40", &[400]),
        (format!("POST {poll} HTTP/1.1\r\nContent-Length: 2"), b"40", &[400]),
        (format!("GET {poll}&sid=none HTTP/1.1"), b"", &[400]),
        (
            format!("GET {GUEST}?EIO=4&transport=websocket&sid=none HTTP/1.1\r\n{upgrade}"),
            b"",
            &[400],
        ),
        (format!("GET {GUEST}?EIO=4&transport=websocket HTTP/1.1\r\n{key}"), b"", &[400]),
        (format!("GET {GUEST}?EIO=5&transport=polling HTTP/1.1"), b"", &[400]),
        (format!("GET {GUEST}?EIO=4&transport=pigeon HTTP/1.1"), b"", &[400]),
        (format!("GET {GUEST} HTTP/1.1"), b"", &[400]),
        (format!("PUT {poll} HTTP/1.1"), b"", &[405]),
        ("GET /nowhere HTTP/1.1".to_owned(), b"", &[404]),
        (format!("GET {poll} HTTP/1.1\r\nX: {}", "x".repeat(20_000)), b"", &[431, 0]),
        (format!("GET /{} HTTP/1.1", "x".repeat(20_000)), b"", &[414, 431, 0]),
        (format!("GET {poll} HTTP/9.9"), b"", &[400, 505, 0]),
        ("\u{0}\u{1}\u{2}\u{3}".to_owned(), b"", &[400, 0]),
        ("PRI * HTTP/2.0".to_owned(), b"", &[400, 404, 505, 0]),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".to_owned(), &large, &[400, 0]),
    ] {
        let mut raw = Raw::connect(server.port()).await.unwrap();
        let answer = raw.request(&lines, body, PATIENCE).await;
        let status = answer.as_ref().map_or(0, |(status, _)| *status);
        let lines: String = lines.chars().take(200).collect();
        assert!(expected.contains(&status), "{lines:?}: {answer:?}");
        honest.is_served(&lines).await;
    }
    server.stop().await;
}
