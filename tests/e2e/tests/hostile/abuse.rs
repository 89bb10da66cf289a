//! Clients that go on over their limits.

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{
    ConnectOptions, Driver, Library, PATIENCE, Server, Settings, Store, event,
    raw::{Raw, frame, opcode},
};
use serde_json::json;
use tokio::time::sleep;

use crate::honest::{Honest, metric};

/// Longer than the farewell, and than stock clients wait before they return.
const AWAY: Duration = Duration::from_millis(2500);
const ENDED: &str = "game_realtime_disconnects_total{namespace=\"guest\",reason=\"abuse\"}";

fn settings() -> Settings {
    Settings::new(&Store::Memory)
        .with_toml("limits.rates.connection.per_second", "10")
        .with_toml("limits.rates.connection.burst", "100")
        .with_toml("limits.abuse_refusals", "50")
}

#[tokio::test]
async fn a_client_that_goes_on_is_sent_away_and_stays_away() {
    let server = Server::start(&settings()).await;
    for (case, (library, transports)) in [
        (Library::JavaScript4, &["websocket"][..]),
        (Library::JavaScript4, &["polling"]),
        (Library::JavaScript2, &["websocket"]),
        (Library::Python, &["polling", "websocket"]),
    ]
    .into_iter()
    .enumerate()
    {
        let driver = Driver::start(library);
        let options = ConnectOptions::guest(&server.url()).over(transports).reconnecting();
        let client = driver.connect(&options).await.unwrap();
        // The later ones are not answered any more.
        let patience = Duration::from_millis(500);
        let broadcast = || json!({"message": "a"});
        join_all((0..300).map(|_| client.emit_within(event::BROADCAST, broadcast(), patience)))
            .await;
        let name = format!("{library:?} over {transports:?}");
        let left = client.await_lifecycle("disconnect").await;
        assert!(
            left.reason.as_deref().is_some_and(|reason| reason.contains("server disconnect")),
            "{name}: {left:?}"
        );
        sleep(AWAY).await;
        assert!(client.count_lifecycle("connect") <= 1, "{name} came back");
        assert_eq!(metric(&server, ENDED).await, case as u64 + 1, "{name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_flood_on_one_socket_is_cut_off_and_others_go_on() {
    let server = Server::start(&settings()).await;
    let mut honest = Honest::connect(&server).await;
    let mut flood = Raw::guest(server.port()).await.unwrap();
    let event = frame(opcode::TEXT, b"42[\"core.game.state.broadcast\",{\"message\":\"a\"}]");
    let events = event.repeat(1000);
    let flooded = async {
        // It reads nothing, and sends as much as it can.
        while flood.send(&events).await.is_ok() {}
    };
    tokio::time::timeout(PATIENCE, flooded).await.expect("the flood is cut off");
    honest.is_served("the flood").await;
    server.stop().await;
}
