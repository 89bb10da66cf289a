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
    let cases = [
        (Library::JavaScript4, &["websocket"][..]),
        (Library::JavaScript4, &["polling"]),
        (Library::JavaScript2, &["websocket"]),
        (Library::Python, &["polling", "websocket"]),
    ];
    join_all(cases.map(|(library, transports)| send_away(&server, library, transports))).await;
    assert_eq!(metric(&server, ENDED).await, 4);
    server.stop().await;
}

async fn send_away(server: &Server, library: Library, transports: &[&str]) {
    let driver = Driver::start(library);
    let options = ConnectOptions::guest(&server.url()).over(transports).reconnecting();
    let client = driver.connect(&options).await.unwrap();
    // The later ones are not answered any more.
    let patience = Duration::from_millis(500);
    let broadcast = || json!({"message": "a"});
    join_all((0..300).map(|_| client.emit_within(event::BROADCAST, broadcast(), patience))).await;
    let case = format!("{library:?} over {transports:?}");
    let left = client.await_lifecycle("disconnect").await;
    let reason = left.reason.unwrap_or_default();
    assert!(reason.contains("server disconnect"), "{case}: {reason}");
    sleep(AWAY).await;
    assert!(client.count_lifecycle("connect") <= 1, "{case} came back");
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
