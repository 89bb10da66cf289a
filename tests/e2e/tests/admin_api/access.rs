//! Who gets in, and what is written down of it.

use game_realtime_e2e::{API_TOKEN, AdminApi, Server, Settings, Store, event, get, request, shape};
use serde_json::{Value, json};

use crate::nodes::ApiNode;

/// What somebody says; no other part of a log looks like it.
const TEXT: &str = "zanzibarquux";

#[tokio::test]
async fn without_a_token_in_the_configuration_there_is_no_api() {
    let settings = Settings::new(&Store::Memory);
    let server = Server::start(&settings).await;
    let bearer = format!("Bearer {API_TOKEN}");
    for path in ["/api", "/api/", "/api/v1/openapi.json", "/api/v1/connections?user_id=alice"] {
        for headers in
            [&[][..], &[("Authorization", bearer.as_str())], &[("Authorization", "Bearer ")]]
        {
            for method in ["GET", "POST", "DELETE"] {
                let answer =
                    request(method, settings.admin_port(), path, headers, "").await.unwrap();
                assert_eq!((answer.status, answer.body.as_str()), (404, "not found\n"), "{path}");
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn only_the_token_opens_the_api_and_it_is_never_seen_again() {
    let node = ApiNode::start(Settings::new(&Store::Memory).with("log.level", "debug")).await;
    let forged = "another-token-as-long-as-the-right-one-0";
    let broadcast = format!("/api/v1/events/{}", event::BROADCAST);
    for credentials in [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some(format!("Bearer {forged}")),
        Some(format!("Bearer {}", &API_TOKEN[..API_TOKEN.len() - 1])),
        Some(format!("Bearer {API_TOKEN}0")),
        Some(format!("Basic {API_TOKEN}")),
        Some(API_TOKEN.to_owned()),
    ] {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(credentials.as_deref().map(|value| ("Authorization", value)));
        for (method, path) in [
            ("GET", "/api/v1/openapi.json"),
            ("POST", broadcast.as_str()),
            ("DELETE", "/api/v1/connections?user_id=alice"),
            ("GET", "/api/v1/nothing"),
            ("PUT", "/api"),
        ] {
            let body = json!({"message": TEXT}).to_string();
            let body = if method == "POST" { body.as_str() } else { "" };
            let answer = node.api.call_with(method, path, &headers, body).await;
            assert_eq!(answer.status, 401, "{method} {path} with {credentials:?}");
            shape::assert_refused(&answer.json, "unauthenticated");
            assert_eq!(answer.raw.header("www-authenticate"), Some("Bearer"));
        }
    }
    // A token in the query is not read.
    let path = format!("/api/v1/openapi.json?access_token={API_TOKEN}");
    assert_eq!(node.api.call_with("GET", &path, &[], "").await.status, 401);

    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(node.api.port(), path).await.unwrap().status, 200, "{path} stays open");
    }
    let said = node.api.publish(event::BROADCAST, "user_id=alice", &json!({"message": TEXT})).await;
    let id = shape::assert_committed(&said.json, event::BROADCAST, false).to_owned();
    node.api.publish(event::BROADCAST, "", &json!({"message": TEXT, "x": TEXT})).await;
    node.api.delete("/api/v1/connections?user_id=alice").await;

    let metrics = node.server.admin("/metrics").await.unwrap().body;
    for line in [
        r#"game_realtime_admin_requests_total{operation="publish_event",outcome="ok"} 1"#,
        r#"game_realtime_admin_requests_total{operation="publish_event",outcome="unauthenticated"} 8"#,
        r#"game_realtime_admin_requests_total{operation="publish_event",outcome="invalid_payload"} 1"#,
        r#"game_realtime_admin_requests_total{operation="disconnect_user",outcome="ok"} 1"#,
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} is not in {metrics}");
    }
    let log = node.server.log();
    node.server.stop().await;
    let lines: Vec<Value> = log.lines().filter_map(|it| serde_json::from_str(it).ok()).collect();
    let noted = |wanted: &[(&str, &str)]| {
        let found = lines.iter().find(|line| {
            line["message"] == "admin request"
                && wanted.iter().all(|(field, value)| line[*field] == *value)
        });
        assert!(found.is_some(), "{wanted:?} is not in {log}");
    };
    noted(&[("action", "publish_event"), ("outcome", "unauthenticated"), ("level", "WARN")]);
    noted(&[
        ("action", "publish_event"),
        ("outcome", "ok"),
        ("user.id", "alice"),
        ("event.type", event::BROADCAST),
        ("event.id", &id),
        ("peer", "127.0.0.1"),
        ("level", "INFO"),
    ]);
    noted(&[("action", "disconnect_user"), ("outcome", "ok"), ("user.id", "alice")]);
    assert!(log.contains("\"DEBUG\""), "{log}");
    for secret in [API_TOKEN, forged, TEXT] {
        assert!(!log.contains(secret) && !metrics.contains(secret), "{secret} is in {log}");
    }
}

#[tokio::test]
async fn the_api_of_one_node_knows_nothing_of_anothers_token() {
    let settings = Settings::new(&Store::Memory)
        .with("admin.api_token", "a-token-of-this-node-alone-0123456789");
    let server = Server::start(&settings).await;
    assert_eq!(AdminApi::of(&settings).get("/api/v1/openapi.json").await.status, 401);
    server.stop().await;
}
