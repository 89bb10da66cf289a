//! Identity by the header of a proxy: who may say it, and what it may say.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

use game_realtime_e2e::{
    ConnectOptions, Driver, Form, Library, Namespace, Server, Settings, Store, mint, request, shape,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

fn settings(proxies: &str) -> Settings {
    Settings::new(&Store::Memory)
        .with("auth.mode", "trusted_header")
        .with_toml("auth.trusted_header.proxies", proxies)
}

#[tokio::test]
async fn a_configured_proxy_says_who_a_player_is() {
    // The second: a socket for both families sees its peers of version 4 as ::ffff:127.0.0.1.
    for host in ["127.0.0.1", "::"] {
        let settings = settings(r#"["10.0.0.0/8", "127.0.0.0/8"]"#).with("http.host", host);
        let server = Server::start(&settings).await;
        for library in
            [Library::JavaScript4, Library::JavaScript3, Library::JavaScript2, Library::Python]
        {
            let driver = Driver::start(library);
            for (form, transport) in [(Form::Path, "polling"), (Form::Namespace, "websocket")] {
                let options = ConnectOptions::new(&server.url(), Namespace::Private)
                    .by(form)
                    .over(&[transport])
                    .with("headers", json!({"x-user-id": "alice"}));
                let client = driver.connect(&options).await.unwrap();
                shape::assert_ready(client.ready(), Namespace::Private, Some("alice"), "fresh");
            }
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn anything_else_is_as_if_nobody_had_said_it() {
    let trusting = Server::start(&settings(r#"["127.0.0.1/32"]"#)).await;
    let others = Server::start(&settings(r#"["10.0.0.0/8", "::1/128"]"#)).await;
    let driver = Driver::start(Library::JavaScript4);
    for (server, headers) in [
        (&trusting, json!({})),
        (&trusting, json!({"X-User-ID": ""})),
        (&trusting, json!({"X-User-ID": "alice, bob"})),
        (&trusting, json!({"X-User-ID": "alice,alice"})),
        // Sent as two lines.
        (&trusting, json!({"X-User-ID": ["alice", "alice"]})),
        (&trusting, json!({"X-User": "alice"})),
        // Tokens are not read in this mode.
        (&trusting, json!({"Authorization": format!("Bearer {}", mint("alice"))})),
        (&others, json!({"X-User-ID": "alice"})),
        // Who is asked for is the other end of the connection, whatever it says of itself.
        (&others, json!({"X-User-ID": "alice", "X-Forwarded-For": "10.0.0.1"})),
        (&others, json!({"X-User-ID": "alice", "Forwarded": "for=10.0.0.1"})),
    ] {
        for transport in ["polling", "websocket"] {
            let options = ConnectOptions::new(&server.url(), Namespace::Private)
                .over(&[transport])
                .with("headers", &headers);
            let refused = driver.connect(&options).await.err().map(|refused| refused.message);
            assert_eq!(refused.as_deref(), Some("unauthenticated"), "{headers} {transport}");
        }
    }
    trusting.stop().await;
    others.stop().await;
}

#[tokio::test]
async fn two_lines_of_the_header_are_two_values() {
    let server = Server::start(&settings(r#"["127.0.0.1/32"]"#)).await;
    let path = "/socket.io/?EIO=4&transport=polling";
    for (headers, answer) in [
        (&[("X-User-ID", "alice")][..], "40/core/game/v1/real-time/private,{\"sid\""),
        (
            &[("X-User-ID", "alice"), ("X-User-ID", "alice")][..],
            "44/core/game/v1/real-time/private,{\"message\":\"unauthenticated\"}",
        ),
    ] {
        let opened = request("GET", server.port(), path, headers, "").await.unwrap();
        let told = told(&server, path, &opened.body).await;
        assert!(told.starts_with(answer), "{headers:?}: {told}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_header_that_is_no_text_names_nobody() {
    let server = Server::start(&settings(r#"["127.0.0.1/32"]"#)).await;
    for (value, answer) in [
        ("José".as_bytes(), "40/core/game/v1/real-time/private,{\"sid\""),
        (b"Jos\xe9", "44/core/game/v1/real-time/private,{\"message\":\"unauthenticated\"}"),
        (b"Jos\xe8", "44/core/game/v1/real-time/private,{\"message\":\"unauthenticated\"}"),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
        let path = "/socket.io/?EIO=4&transport=polling";
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-User-ID: ");
        stream.write_all(&[head.as_bytes(), value, b"\r\n\r\n"].concat()).await.unwrap();
        let mut opened = String::new();
        stream.read_to_string(&mut opened).await.unwrap();
        let told = told(&server, path, &opened).await;
        assert!(told.starts_with(answer), "{value:?}: {told}");
    }
    server.stop().await;
}

/// Joins the session that an answer opened, and returns what the client is told.
async fn told(server: &Server, path: &str, opened: &str) -> String {
    let (_, rest) = opened.split_once("\"sid\":\"").unwrap();
    let path = format!("{path}&sid={}", rest.split('"').next().unwrap());
    let join = "40/core/game/v1/real-time/private,";
    let text = [("Content-Type", "text/plain;charset=UTF-8")];
    request("POST", server.port(), &path, &text, join).await.unwrap();
    loop {
        let polled = request("GET", server.port(), &path, &[], "").await.unwrap();
        // Its first ping comes at once.
        if let Some(packet) = polled.body.split('\u{1e}').find(|packet| *packet != "2") {
            return packet.to_owned();
        }
    }
}
