//! Everything that can be wrong with a request, or with the node.

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{API_TOKEN, Driver, Etcd, Library, Settings, Store, event, shape};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::nodes::ApiNode;

const BROADCAST: &str = "/api/v1/events/core.game.state.broadcast";
const MESSAGE: &str = "/api/v1/events/core.game.state.send_message";
const PURCHASE: &str = "/api/v1/events/core.game.state.buy_good";

#[tokio::test]
async fn every_fault_of_a_request_is_told_with_its_place() {
    let node =
        ApiNode::start(Settings::new(&Store::Memory).with_toml("limits.message_length", "5")).await;
    let long = format!("{BROADCAST}?user_id={}", "x".repeat(129));
    for (method, path, body, faulty) in [
        ("POST", BROADCAST, "", ""),
        ("POST", BROADCAST, "nonsense", ""),
        ("POST", BROADCAST, "[]", ""),
        ("POST", BROADCAST, r#"["hi"]"#, ""),
        ("POST", BROADCAST, r#"{"message":"a"}{"message":"a"}"#, ""),
        ("POST", BROADCAST, "{}", "message"),
        ("POST", BROADCAST, r#"{"message":""}"#, "message"),
        ("POST", BROADCAST, r#"{"message":"123456"}"#, "message"),
        ("POST", BROADCAST, r#"{"message":7}"#, "message"),
        ("POST", BROADCAST, r#"{"message":"a","namespace":"guest"}"#, "namespace"),
        ("POST", BROADCAST, r#"{"message":"a","request_id":""}"#, "request_id"),
        ("POST", MESSAGE, r#"{"text":"a"}"#, "target_user_id"),
        ("POST", MESSAGE, r#"{"target_user_id":"a\u0000","text":"a"}"#, "target_user_id"),
        ("POST", PURCHASE, r#"{"good_id":"a","count":0}"#, "count"),
        ("POST", PURCHASE, r#"{"good_id":"a","count":1.5}"#, "count"),
        ("POST", PURCHASE, r#"{"good_id":"a","count":1e999}"#, "count"),
        ("POST", BROADCAST, r#"{"message":"\ud83d"}"#, "message"),
        ("POST", BROADCAST, r#"{"message":"a","request_id":"\udfae"}"#, "request_id"),
        ("POST", MESSAGE, r#"{"target_user_id":"a","text":"\ud83d!"}"#, "text"),
        ("POST", MESSAGE, r#"{"target_user_id":"\ud83d","text":"a"}"#, "target_user_id"),
        ("POST", PURCHASE, r#"{"good_id":"\ud83d","count":1}"#, "good_id"),
        ("POST", &format!("{BROADCAST}?namespace=nowhere"), r#"{"message":"a"}"#, "namespace"),
        ("POST", &format!("{BROADCAST}?user_id="), r#"{"message":"a"}"#, "user_id"),
        ("POST", &format!("{BROADCAST}?user_id=a%00"), r#"{"message":"a"}"#, "user_id"),
        ("POST", &format!("{BROADCAST}?user_id=%ff"), r#"{"message":"a"}"#, "user_id"),
        ("POST", &format!("{BROADCAST}?user_id=a&user_id=b"), r#"{"message":"a"}"#, "user_id"),
        ("POST", &long, r#"{"message":"a"}"#, "user_id"),
        ("POST", &format!("{BROADCAST}?extra=1"), r#"{"message":"a"}"#, "extra"),
        (
            "POST",
            &format!("{MESSAGE}?namespace=guest"),
            r#"{"target_user_id":"a","text":"a"}"#,
            "namespace",
        ),
        ("GET", &format!("{BROADCAST}?limit=0"), "", "limit"),
        ("GET", &format!("{BROADCAST}?limit=101"), "", "limit"),
        ("GET", &format!("{BROADCAST}?limit=x"), "", "limit"),
        ("GET", &format!("{BROADCAST}?limit=1.5"), "", "limit"),
        ("GET", &format!("{BROADCAST}?cursor=x"), "", "cursor"),
        ("GET", "/api/v1/openapi.json?x", "", "x"),
        ("GET", "/api/v1/connections", "", "user_id"),
        ("GET", "/api/v1/connections?user_id=a&limit=1001", "", "limit"),
        ("GET", "/api/v1/connections?user_id=a&cursor=x", "", "cursor"),
        ("GET", "/api/v1/namespaces/guest/connections?user_id=a", "", "user_id"),
        ("GET", "/api/v1/namespaces/guest/connections?cursor=", "", "cursor"),
        ("DELETE", "/api/v1/connections", "", "user_id"),
        ("DELETE", "/api/v1/connections?user_id=a&limit=1", "", "limit"),
        ("DELETE", "/api/v1/connections/x", "", "connection_id"),
    ] {
        let answer = node.api.call(method, path, (method == "POST").then_some(body)).await;
        assert_eq!(answer.status, 400, "{method} {path} {body}: {}", answer.json);
        let error = shape::assert_refused(&answer.json, "invalid_payload");
        assert_eq!(error["fields"][0]["path"], faulty, "{method} {path} {body}: {error}");
        assert_eq!(error["fields"].as_array().unwrap().len(), 1, "{error}");
        let message = error["fields"][0]["message"].as_str().unwrap();
        for word in ["u32", "i64", "usize", "struct", "enum", "line", "column", "expected"] {
            assert!(!message.contains(word), "{method} {path} {body}: {message}");
        }
    }
    node.server.stop().await;
}

#[tokio::test]
async fn what_is_forbidden_unknown_or_not_json_is_said_to_be_that() {
    let node = ApiNode::start(
        Settings::new(&Store::Memory)
            .with_toml("namespaces.private.allow", r#"["core.game.state.send_message"]"#)
            .with_toml("namespaces.guest.allow", "[]"),
    )
    .await;
    let hi = json!({"message": "hi"});
    // A player may do what players may; and is no guest.
    for whose in
        ["user_id=alice", "user_id=alice&namespace=private", "user_id=alice&namespace=guest"]
    {
        let answer = node.api.publish(event::BROADCAST, whose, &hi).await;
        assert_eq!(answer.status, 403, "{whose}");
        shape::assert_refused(&answer.json, "forbidden");
    }
    // The system is no client, and buys nothing.
    for whose in ["", "namespace=guest"] {
        assert_eq!(node.api.publish(event::BROADCAST, whose, &hi).await.status, 200, "{whose}");
    }
    let purchase = json!({"good_id": "sword", "count": 1});
    assert_eq!(node.api.publish(event::BUY_GOOD, "", &purchase).await.code(), Some("forbidden"));

    for (method, path) in [
        ("GET", "/api"),
        ("GET", "/api/"),
        ("GET", "/api/v2/openapi.json"),
        ("POST", "/api/v1/events/core.game.state.unknown"),
        ("GET", "/api/v1/namespaces/nowhere/connections"),
        ("DELETE", "/api/v1/connections/x/y"),
    ] {
        let answer = node.api.call(method, path, None).await;
        assert_eq!((answer.status, answer.code()), (404, Some("not_found")), "{method} {path}");
    }
    for (path, allow) in [
        ("/api/v1/openapi.json", "GET"),
        (BROADCAST, "GET, POST"),
        ("/api/v1/connections", "GET, DELETE"),
        ("/api/v1/connections/x", "DELETE"),
        ("/api/v1/namespaces/guest/connections", "GET"),
    ] {
        for method in ["HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "ODD"] {
            if allow.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let answer = node.api.call(method, path, None).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.raw.header("allow"), Some(allow), "{method} {path}");
            if method != "HEAD" {
                assert_eq!(answer.code(), Some("method_not_allowed"), "{method} {path}");
            }
        }
    }
    let bearer = format!("Bearer {API_TOKEN}");
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend(content_type.map(|it| ("Content-Type", it)));
        let answer = node.api.call_with("POST", BROADCAST, &headers, &hi.to_string()).await;
        assert_eq!((answer.status, answer.code()), (415, Some("unsupported_media_type")));
    }
    let headers =
        [("Authorization", bearer.as_str()), ("Content-Type", "Application/JSON; charset=utf-8")];
    assert_eq!(node.api.call_with("POST", BROADCAST, &headers, &hi.to_string()).await.status, 200);
    node.server.stop().await;
}

#[tokio::test]
async fn a_body_has_bounds_of_size_and_time() {
    let node =
        ApiNode::start(Settings::new(&Store::Memory).with("limits.payload_bytes", "2000B")).await;
    let message = |length: usize| json!({"message": "x".repeat(length)}).to_string();
    for (body, status) in [
        (message(1900), 200),
        (message(2000), 413),
        // Also when the answer comes before all of it was sent.
        (message(3_500_000), 413),
    ] {
        let answer = node.api.call("POST", BROADCAST, Some(&body)).await;
        assert_eq!(answer.status, status, "{} bytes", body.len());
    }
    // And without the right to send it.
    let headers = [("Content-Type", "application/json")];
    let answer = node.api.call_with("POST", BROADCAST, &headers, &message(3_500_000)).await;
    assert_eq!(answer.status, 401);
    // In pieces, without saying how large it is. All of it is taken, so that whoever writes before it
    // reads gets to read.
    let head = |more: &str| {
        format!(
            "POST {BROADCAST} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {API_TOKEN}\r\n\
             Content-Type: application/json\r\n{more}\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(("127.0.0.1", node.api.port())).await.unwrap();
    stream.write_all(head("Transfer-Encoding: chunked").as_bytes()).await.unwrap();
    for _ in 0..3000 {
        let piece = format!("3e8\r\n{}\r\n", "x".repeat(1000));
        stream.write_all(piece.as_bytes()).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // One that never comes.
    let mut stream = TcpStream::connect(("127.0.0.1", node.api.port())).await.unwrap();
    stream.write_all(head("Content-Length: 10").as_bytes()).await.unwrap();
    let begun = Instant::now();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains(r#""code":"request_timeout""#), "{answer}");
    assert!(begun.elapsed() >= Duration::from_secs(5), "{:?}", begun.elapsed());
    // A head that is too large.
    let long = "x".repeat(20_000);
    let answer =
        game_realtime_e2e::get_with_headers(node.api.port(), "/api", &[("X", &long)]).await;
    assert_eq!(answer.unwrap().status, 431);
    node.server.stop().await;
}

/// Everything until the server closes the connection.
async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    timeout(Duration::from_secs(10), read).await.expect("an answer").unwrap();
    answer
}

#[tokio::test]
async fn whoever_goes_on_too_fast_is_slowed_down_each_for_itself() {
    let node = ApiNode::start(
        Settings::new(&Store::Memory)
            .with_toml("limits.rates.broadcast.per_second", "1")
            .with_toml("limits.rates.broadcast.burst", "2"),
    )
    .await;
    for whose in ["", "user_id=alice", "user_id=bob"] {
        let mut outcomes = Vec::new();
        for _ in 0..3 {
            let answer = node.api.publish(event::BROADCAST, whose, &json!({"message": "hi"})).await;
            outcomes.push(answer.status);
            if answer.status == 429 {
                shape::assert_refused(&answer.json, "rate_limited");
                assert_eq!(answer.raw.header("retry-after"), Some("1"));
            }
        }
        assert_eq!(outcomes, [200, 200, 429], "{whose}");
    }
    node.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_drains_takes_no_more_orders() {
    // So slowly that there is time to ask.
    let settings = Settings::new(&Store::Memory).with("shutdown.grace", "20s");
    let mut node = ApiNode::start(settings).await;
    let driver = Driver::start(Library::JavaScript4);
    let options = node.guest();
    let clients = join_all((0..12).map(|_| driver.connect(&options))).await;
    assert!(clients.iter().all(Result::is_ok));
    node.server.terminate();
    let draining = async {
        while !node.server.admin("/readyz").await.is_some_and(|it| it.body.contains("draining")) {}
    };
    timeout(Duration::from_secs(10), draining).await.unwrap();
    let answer = node.api.publish(event::BROADCAST, "", &json!({"message": "hi"})).await;
    assert_eq!(answer.status, 503);
    shape::assert_refused(&answer.json, "unavailable");
    assert_eq!(node.server.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_store_is_unavailable_at_once_and_a_living_one_is_not() {
    let etcd = Etcd::start().await;
    let store = Store::Etcd { endpoint: etcd.endpoint(), prefix: "/e2e/api/dead".to_owned() };
    let node = ApiNode::start(Settings::new(&store).with("etcd.request_timeout", "1s")).await;
    let hi = json!({"message": "hi", "request_id": "r"}).to_string();
    let id = "00000000-0000-0000-0000-000000000001";
    let one = format!("/api/v1/connections/{id}");
    let calls = [
        ("POST", BROADCAST, Some(hi.as_str())),
        ("GET", BROADCAST, None),
        ("GET", "/api/v1/connections?user_id=alice", None),
        ("GET", "/api/v1/namespaces/guest/connections", None),
        ("DELETE", "/api/v1/connections?user_id=alice", None),
        ("DELETE", one.as_str(), None),
    ];
    for (method, path, body) in calls {
        assert!(node.api.call(method, path, body).await.status < 300, "{method} {path}");
    }
    etcd.freeze();
    for (method, path, body) in calls {
        let begun = Instant::now();
        let answer = node.api.call(method, path, body).await;
        let took = begun.elapsed();
        assert_eq!(answer.status, 503, "{method} {path}: {}", answer.json);
        shape::assert_refused(&answer.json, "unavailable");
        assert_eq!(answer.raw.header("retry-after"), Some("1"));
        assert!(took < Duration::from_millis(1500), "{method} {path} took {took:?}");
    }
    assert_eq!(node.api.get("/api/v1/openapi.json").await.status, 200);
    etcd.thaw();
    // What nobody could know is found out by asking again.
    let again = async {
        loop {
            let answer = node.api.call("POST", BROADCAST, Some(&hi)).await;
            if answer.status == 200 {
                return answer.json;
            }
        }
    };
    let again: Value = timeout(Duration::from_secs(30), again).await.unwrap();
    shape::assert_committed(&again, event::BROADCAST, true);
    node.server.stop().await;
}
