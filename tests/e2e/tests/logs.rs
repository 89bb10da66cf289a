//! What a node logs: one JSON object a line, each step of a connection's life once, and never what
//! nobody may read.

use std::time::Duration;

use game_realtime_e2e::{
    Client, ConnectOptions, Driver, Library, Response, SECRET, Server, Settings, Store, event, get,
    mint, mint_with_secret, shape,
};
use serde_json::{Value, json};
use tokio::time::sleep;

/// What somebody says; no other part of a log looks like it.
const TEXT: &str = "zanzibarquux";

#[tokio::test]
async fn no_token_no_text_no_secret_and_no_session_is_logged_even_at_debug() {
    let settings = Settings::new(&Store::Memory).with("log.level", "debug");
    let mut server = Server::start(&settings).await;
    let token = mint("alice");
    let forged = mint_with_secret("alice", "not the secret but as long as it");
    for library in [Library::JavaScript4, Library::JavaScript2, Library::Python] {
        let driver = Driver::start(library);
        let refused = ConnectOptions::player(&server.url(), &forged);
        driver.connect(&refused).await.map(|client| client.name().to_owned()).unwrap_err();
        for transport in ["polling", "websocket"] {
            let options = ConnectOptions::player(&server.url(), &token).over(&[transport]);
            say_everything(&driver.connect(&options).await.unwrap()).await;
        }
    }
    let handshake =
        get(server.port(), "/socket.io/?EIO=4&transport=polling&token=querytoken").await;
    let session = session_of(&handshake.unwrap());
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));

    let log = server.log();
    assert!(log.contains("DEBUG"), "{log}");
    assert!(log.contains("a-request-id"), "request ids are logged at debug");
    let secrets = [TEXT, &token, &forged, SECRET, &session, "querytoken"];
    for line in log.lines() {
        for secret in secrets {
            assert!(!line.contains(secret), "{secret} is in {line}");
        }
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[tokio::test]
async fn each_step_of_a_connection_and_of_the_node_is_one_line() {
    let mut server = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(Library::JavaScript4);
    let client = driver.connect(&ConnectOptions::player(&server.url(), &mint("alice"))).await;
    let client = client.unwrap();
    let id = client.ready_text("connection_id").to_owned();
    let nobody = ConnectOptions::player(&server.url(), "no token at all");
    driver.connect(&nobody).await.map(|client| client.name().to_owned()).unwrap_err();
    client.disconnect().await;
    while !server.log().contains("connection ended") {
        sleep(Duration::from_millis(10)).await;
    }
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));

    let log = server.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |message: &str| {
        let found: Vec<_> = lines.iter().filter(|line| line["message"] == message).collect();
        let [line] = found.as_slice() else {
            panic!("{} lines of {message:?}: {log}", found.len())
        };
        (*line).clone()
    };
    for message in ["listening", "ready", "stopping", "draining", "stopped"] {
        of(message);
    }
    assert_eq!(of("connection ready")["connection.id"], id);
    assert_eq!(of("connection refused")["reason"], "invalid");
    let ended = of("connection ended");
    assert_eq!(
        (&ended["connection.id"], &ended["reason"]),
        (&json!(id), &json!("client_disconnect"))
    );
    assert!(ended["duration_ms"].is_u64(), "{ended}");
}

/// Every kind of event, with and without faults.
async fn say_everything(client: &Client) {
    let request_id = format!("a-request-id-of-{}", client.name());
    let said = json!({"message": TEXT, "request_id": request_id});
    let ack = client.emit(event::BROADCAST, said).await;
    shape::assert_committed(&ack, event::BROADCAST, false);
    let conflict = json!({"message": format!("{TEXT}!"), "request_id": request_id});
    shape::assert_refused(&client.emit(event::BROADCAST, conflict).await, "idempotency_conflict");
    let message = json!({"target_user_id": "bob", "text": TEXT});
    shape::assert_committed(
        &client.emit(event::SEND_MESSAGE, message).await,
        event::SEND_MESSAGE,
        false,
    );
    for fault in [json!({"message": TEXT, TEXT: 1}), json!([TEXT]), json!(TEXT)] {
        shape::assert_refused(&client.emit(event::BROADCAST, fault).await, "invalid_payload");
    }
    client.emit(TEXT, json!({"message": TEXT})).await;
}

/// The id that the node chose, from `0{"sid":"...`.
fn session_of(handshake: &Response) -> String {
    let sid = handshake.body.split('"').nth(3).unwrap_or_default();
    assert!(sid.len() > 10, "{}", handshake.body);
    sid.to_owned()
}
