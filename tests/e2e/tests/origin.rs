//! Which web pages may use the gateway, whatever the transport.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

use game_realtime_e2e::{Response, Server, Settings, Store, request};

const PATHS: [&str; 2] = ["/socket.io/", "/core/game/v1/real-time/private"];
/// The key of RFC 6455, section 1.3.
const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Opens a session, by polling and as a WebSocket, as a page of `origin` would.
async fn open(server: &Server, path: &str, origin: Option<&str>) -> [Response; 2] {
    let origin: Vec<_> = origin.map(|origin| ("Origin", origin)).into_iter().collect();
    let polling = format!("{path}?EIO=4&transport=polling");
    let websocket = format!("{path}?EIO=4&transport=websocket");
    let upgrade = [&UPGRADE[..], &origin].concat();
    [
        request("GET", server.port(), &polling, &origin, "").await.unwrap(),
        request("GET", server.port(), &websocket, &upgrade, "").await.unwrap(),
    ]
}

async fn assert_allowed(server: &Server, origin: &str) {
    for path in PATHS {
        let [polling, websocket] = open(server, path, Some(origin)).await;
        assert_eq!((polling.status, websocket.status), (200, 101), "{origin} {path}");
        for response in [polling, websocket] {
            assert_eq!(response.header("Access-Control-Allow-Origin"), Some(origin), "{path}");
            assert_eq!(response.header("Access-Control-Allow-Credentials"), Some("true"));
            assert_eq!(response.header("Vary"), Some("Origin"), "{path}");
        }
    }
}

async fn assert_refused(server: &Server, origin: &str) {
    for path in PATHS {
        for response in open(server, path, Some(origin)).await {
            assert_eq!(response.status, 403, "{origin} {path}: {response:?}");
            assert_eq!(response.header("Access-Control-Allow-Origin"), None, "{origin} {path}");
        }
    }
}

#[tokio::test]
async fn by_default_only_pages_of_the_same_host_and_port_connect_and_who_is_no_page() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let own = format!("127.0.0.1:{}", server.port());
    for path in PATHS {
        for response in open(&server, path, None).await {
            assert!([200, 101].contains(&response.status), "{path}: {response:?}");
            assert_eq!(response.header("Access-Control-Allow-Origin"), None, "{path}");
        }
    }
    assert_allowed(&server, &format!("http://{own}")).await;
    // A node cannot know whether a load balancer in front of it speaks TLS.
    assert_allowed(&server, &format!("https://{own}")).await;
    for origin in [
        "null".to_owned(),
        "http://127.0.0.1".to_owned(),
        "http://127.0.0.1:1".to_owned(),
        format!("http://localhost:{}", server.port()),
        format!("http://evil.example:{}", server.port()),
        format!("http://{own}.evil.example"),
        format!("http://evil.example@{own}"),
        format!("file://{own}"),
        format!("ws://{own}"),
        own.clone(),
        String::new(),
    ] {
        assert_refused(&server, &origin).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn listed_origins_connect_exactly_as_they_are_listed() {
    let settings = Settings::new(&Store::Memory)
        .with_toml("http.allowed_origins", r#"["https://play.example", "http://localhost:3000"]"#);
    let server = Server::start(&settings).await;
    for origin in ["https://play.example", "http://localhost:3000"] {
        assert_allowed(&server, origin).await;
    }
    assert_allowed(&server, &format!("http://127.0.0.1:{}", server.port())).await;
    for origin in [
        "http://play.example",
        "https://play.example:8443",
        "https://sub.play.example",
        "https://play.example.evil.example",
        "http://localhost:3001",
        "http://localhost",
        "null",
    ] {
        assert_refused(&server, origin).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn the_star_allows_every_page_even_one_without_an_origin_of_its_own() {
    let settings = Settings::new(&Store::Memory).with_toml("http.allowed_origins", r#"["*"]"#);
    let server = Server::start(&settings).await;
    for origin in ["https://anywhere.example", "null"] {
        assert_allowed(&server, origin).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_preflight_is_answered_for_those_who_may_and_refused_for_others() {
    let settings = Settings::new(&Store::Memory)
        .with_toml("http.allowed_origins", r#"["https://play.example"]"#);
    let server = Server::start(&settings).await;
    for path in PATHS {
        let path = format!("{path}?EIO=4&transport=polling");
        let ask = async |origin| {
            let headers = [
                ("Origin", origin),
                ("Access-Control-Request-Method", "POST"),
                (
                    "Access-Control-Request-Headers",
                    "authorization,content-type,traceparent, X-Game-Build",
                ),
            ];
            request("OPTIONS", server.port(), &path, &headers, "").await.unwrap()
        };
        let allowed = ask("https://play.example").await;
        assert_eq!(allowed.status, 204, "{allowed:?}");
        let header = |name| allowed.header(name).unwrap_or_default().to_ascii_lowercase();
        assert_eq!(header("Access-Control-Allow-Origin"), "https://play.example");
        assert_eq!(header("Access-Control-Allow-Credentials"), "true");
        assert_eq!(header("Vary"), "origin");
        assert!(header("Access-Control-Allow-Methods").contains("post"));
        for name in ["authorization", "content-type", "traceparent", "x-game-build"] {
            assert!(header("Access-Control-Allow-Headers").contains(name), "{name}");
        }
        let vary = allowed.head.to_ascii_lowercase();
        assert!(vary.contains("vary: access-control-request-headers"), "{vary}");
        for origin in ["https://evil.example", "null"] {
            let refused = ask(origin).await;
            assert_eq!(refused.status, 403, "{refused:?}");
            assert_eq!(refused.header("Access-Control-Allow-Origin"), None);
            assert_eq!(refused.header("Access-Control-Allow-Methods"), None);
            assert_eq!(refused.header("Access-Control-Allow-Headers"), None);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn every_request_of_a_session_is_checked_not_only_the_first() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let path = "/socket.io/?EIO=4&transport=polling";
    let opened = request("GET", server.port(), path, &[], "").await.unwrap();
    let path = format!("{path}&sid={}", opened.body.split('"').nth(3).unwrap());
    let evil = [("Origin", "https://evil.example"), ("Content-Type", "text/plain;charset=UTF-8")];
    for (method, body) in [("GET", ""), ("POST", "40/core/game/v1/real-time/guest,")] {
        let refused = request(method, server.port(), &path, &evil, body).await.unwrap();
        assert_eq!(refused.status, 403, "{method}: {refused:?}");
    }
    let own = format!("http://127.0.0.1:{}", server.port());
    let headers = [("Origin", own.as_str()), ("Content-Type", "text/plain;charset=UTF-8")];
    let taken = request("POST", server.port(), &path, &headers, "40").await.unwrap();
    assert_eq!(taken.status, 200, "{taken:?}");
    assert_eq!(taken.header("Access-Control-Allow-Origin"), Some(own.as_str()));
    server.stop().await;
}
