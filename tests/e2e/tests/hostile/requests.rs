//! Requests that are too large, malformed, or nobody's.

use game_realtime_e2e::{
    PATIENCE, Server, Settings, Store, get,
    raw::{GUEST, Raw},
    request,
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

/// Lengths of version 3 count UTF-16 code units: one that ends within a character is never reached.
#[tokio::test]
async fn a_length_that_ends_within_a_character_holds_up_nobody() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let mut honest = Honest::connect(&server).await;
    let path = format!("{GUEST}?EIO=3&transport=polling");
    // More than there are workers.
    for _ in 0..8 {
        let opened = get(server.port(), &path).await.unwrap().body;
        let (_, rest) = opened.split_once("\"sid\":\"").unwrap();
        let (session, _) = rest.split_once('"').unwrap();
        let post = format!("{path}&sid={session}");
        let headers = [("Content-Type", "text/plain;charset=UTF-8")];
        let answer = request("POST", server.port(), &post, &headers, "1:\u{1F3AE}x").await;
        assert_eq!(answer.unwrap().status, 400);
        assert_eq!(get(server.port(), &post).await.unwrap().status, 400, "the session is over");
        honest.is_served("half a character").await;
    }
    server.stop().await;
}
