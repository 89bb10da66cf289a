//! Clients that begin something and do not go on.

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{
    Server, Settings, Store,
    raw::{GUEST, Raw, frame, frame_head, opcode},
};
use tokio::time::Instant;

use crate::honest::Honest;

/// Longer than any of the times set below, for all that a busy machine adds.
const CLOSED_WITHIN: Duration = Duration::from_secs(8);
const DRIP: Duration = Duration::from_millis(100);

fn settings() -> Settings {
    Settings::new(&Store::Memory)
        .with("limits.header_timeout", "500ms")
        .with("limits.body_timeout", "500ms")
        .with("limits.connect_timeout", "500ms")
        .with("embedded.request_timeout", "500ms")
        .with("limits.ping_interval", "1s")
        .with("limits.ping_timeout", "1s")
}

#[tokio::test]
async fn whoever_does_not_go_on_is_closed() {
    let server = Server::start(&settings()).await;
    let mut honest = Honest::connect(&server).await;
    let post = format!("POST {GUEST}?EIO=4&transport=polling&sid=none HTTP/1.1\r\nHost: a\r\n");
    // What a client says at once, and what it goes on with, a byte now and then.
    let plain = [
        ("silence", String::new(), ""),
        ("half a request line", "GET /socket".to_owned(), ""),
        ("half a head", "GET / HTTP/1.1\r\nHost: a\r\nX: ".to_owned(), ""),
        ("a head, byte by byte", "GET / HTTP/1.1\r\nX: ".to_owned(), "x"),
        ("headers, one by one", "GET / HTTP/1.1\r\n".to_owned(), "x: y\r\n"),
        ("half a body", format!("{post}Content-Length: 1000\r\n\r\n40"), ""),
        ("a body, byte by byte", format!("{post}Content-Length: 1000\r\n\r\n"), "4"),
        ("half a chunk", format!("{post}Transfer-Encoding: chunked\r\n\r\n3e8\r\n40"), ""),
        ("chunks, one by one", format!("{post}Transfer-Encoding: chunked\r\n\r\n"), "1\r\n4\r\n"),
    ];
    let framed = [
        ("no connect", Vec::new(), Vec::new()),
        ("half a frame head", vec![opcode::TEXT], Vec::new()),
        ("half a frame", frame_head(opcode::TEXT, 60_000), Vec::new()),
        ("a frame, byte by byte", frame_head(opcode::TEXT, 60_000), b"4".to_vec()),
        ("endless fragments", frame(opcode::TEXT_BEGINS, b"4"), frame(0x00, b"x")),
        ("joined and mute", frame(opcode::TEXT, b"40"), Vec::new()),
        (
            "joined and half an event",
            [frame(opcode::TEXT, b"40"), frame_head(opcode::TEXT, 1000)].concat(),
            Vec::new(),
        ),
        (
            "an attachment that does not come",
            [
                frame(opcode::TEXT, b"40"),
                frame(opcode::TEXT, b"451-[\"a\",{\"_placeholder\":true,\"num\":0}]"),
            ]
            .concat(),
            Vec::new(),
        ),
    ];
    let port = server.port();
    let plain = plain.map(async |(name, begins, goes_on)| {
        let raw = Raw::connect(port).await.unwrap();
        await_end(name, raw, begins.as_bytes(), goes_on.as_bytes()).await;
    });
    let framed = framed.map(async |(name, begins, goes_on)| {
        let raw = Raw::websocket(port, GUEST).await.unwrap();
        await_end(name, raw, &begins, &goes_on).await;
    });
    let all = async { tokio::join!(join_all(plain), join_all(framed)) };
    tokio::select! {
        _ = all => {}
        () = honest.stay(CLOSED_WITHIN * 2) => {}
    }
    honest.is_served("them all").await;
    server.stop().await;
}

async fn await_end(name: &str, mut raw: Raw, begins: &[u8], goes_on: &[u8]) {
    let started = Instant::now();
    raw.send(begins).await.unwrap();
    while started.elapsed() < CLOSED_WITHIN {
        if raw.is_closed_within(DRIP).await {
            return;
        }
        raw.send(goes_on).await.ok();
    }
    panic!("{name}: not closed within {CLOSED_WITHIN:?}");
}

#[tokio::test]
async fn a_polling_session_that_joins_nothing_is_gone() {
    // Not for want of a sign of life.
    let server = Server::start(&settings().with("limits.ping_interval", "60s")).await;
    // Clients of version 2 are in the root namespace at once, which is not a game namespace.
    for (version, path) in [(4, GUEST), (4, "/socket.io/"), (3, "/socket.io/")] {
        let case = format!("version {version} at {path}");
        let mut raw = Raw::connect(server.port()).await.unwrap();
        let open = format!("GET {path}?EIO={version}&transport=polling HTTP/1.1");
        let (status, body) = raw.request(&open, b"", CLOSED_WITHIN).await.unwrap();
        assert_eq!(status, 200, "{case}: {body}");
        let sid = body.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let poll = format!("GET {path}?EIO={version}&transport=polling&sid={sid} HTTP/1.1");
        let started = Instant::now();
        loop {
            // The one before may have been closed while it waited.
            let mut raw = Raw::connect(server.port()).await.unwrap();
            match raw.request(&poll, b"", CLOSED_WITHIN).await {
                Some((400, _)) => break,
                Some((200, _)) if started.elapsed() < CLOSED_WITHIN => {}
                answer => panic!("{case} lives on: {answer:?}"),
            }
        }
    }
    server.stop().await;
}
