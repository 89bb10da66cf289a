//! More than the node holds at once, over all connections.

use futures_util::future::join_all;
use game_realtime_e2e::{
    ConnectOptions, Driver, Library, Server, Settings, Store, event, mint, shape,
};
use serde_json::{Value, json};

use crate::honest::refusals;

fn code(answer: &Value) -> &str {
    answer.pointer("/error/code").and_then(Value::as_str).unwrap_or("ok")
}

#[tokio::test]
async fn beyond_the_bytes_in_flight_events_are_refused_and_nothing_of_them_stays() {
    // Room for some hundred small events. No inbox is ever full.
    let settings = Settings::new(&Store::Memory)
        .with("limits.in_flight_bytes", "128KiB")
        .with_toml("limits.inbox_events", "10000");
    let server = Server::start(&settings).await;
    let mut refused = 0;
    for transport in ["polling", "websocket"] {
        let driver = Driver::start(Library::JavaScript4);
        let connect = (0..4).map(|number| {
            let token = mint(&format!("player-{number}"));
            let options = ConnectOptions::player(&server.url(), &token).over(&[transport]);
            let driver = &driver;
            async move { driver.connect(&options).await.unwrap() }
        });
        let clients = join_all(connect).await;
        for _ in 0..2 {
            let message = || json!({"target_user_id": "nobody", "text": "hello"});
            let sent = clients.iter().flat_map(|client| {
                (0..300).map(move |_| client.emit(event::SEND_MESSAGE, message()))
            });
            for answer in join_all(sent).await {
                match code(&answer) {
                    "ok" => {}
                    "rate_limited" => refused += 1,
                    other => panic!("{transport}: {other}"),
                }
            }
        }
        assert!(refused > 0, "nothing is refused over {transport}");
        assert_eq!(refusals(&server, "in_flight").await, refused, "{transport}");
        // Nobody is sent away for what others take of the node, and all room is back.
        for client in &clients {
            let large = json!({"message": "x".repeat(16_000)});
            let answers =
                join_all((0..6).map(|_| client.emit(event::BROADCAST, large.clone()))).await;
            for answer in answers {
                shape::assert_committed(&answer, event::BROADCAST, false);
            }
        }
        for client in &clients {
            client.disconnect().await;
        }
    }
    server.stop().await;
}
