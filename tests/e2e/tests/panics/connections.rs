//! Panics in what is done for one connection.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use game_realtime_e2e::{
    ConnectOptions, Driver, Library, PATIENCE, Server, Settings, Store, event, mint,
    raw::{GUEST, Heard, Raw},
    shape,
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{Guest, assert_logged, metric};

const AT_ONCE: Duration = Duration::from_secs(8);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const ENDED: &str = "game_realtime_disconnects_total{namespace=\"guest\",reason=\"internal\"}";

/// What leads to a point, and what comes of the panic there.
type Attempt = for<'a> fn(&'a Server, &'static str) -> BoxFuture<'a, ()>;

#[tokio::test]
async fn a_panic_for_one_connection_ends_that_one_and_nobody_else_notices() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let mut guest = Guest::connect(&server).await;
    // The point, the file it is in, whether a connection ends because of it.
    let attempts: [(&str, &str, u64, Attempt); 7] = [
        ("request", "service.rs", 0, |server, point| ask(server, point).boxed()),
        ("accept", "namespaces.rs", 0, |server, point| be_refused(server, point).boxed()),
        ("begin", "session.rs", 1, |server, point| join(server, point).boxed()),
        ("receive", "session.rs", 1, |server, point| send(server, point).boxed()),
        ("worker", "session.rs", 1, |server, point| send(server, point).boxed()),
        ("catch-up", "catch_up.rs", 1, |server, point| come_back(server, point).boxed()),
        ("socket", "websocket.rs", 0, |server, point| stop_reading(server, point).boxed()),
    ];
    for (number, (point, file, ended, attempt)) in attempts.into_iter().enumerate() {
        let before = metric(&server, ENDED).await;
        // What comes first is not what is to fail.
        attempt(&server, point).await;
        guest.is_served(point).await;
        assert_eq!(
            metric(&server, "game_realtime_panics_total").await,
            number as u64 + 1,
            "{point}"
        );
        assert_eq!(metric(&server, ENDED).await - before, ended, "{point}");
        assert_logged(&server, file);
    }
    // All of them are gone, and so is what they held.
    let alone = async {
        while metric(&server, "game_realtime_connections{namespace=\"guest\"}").await > 1 {
            sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(PATIENCE, alone).await.expect("those that ended are not counted");
    server.stop().await;
}

/// The TCP connection of a request ends with it.
async fn ask(server: &Server, point: &str) {
    let mut raw = Raw::connect(server.port()).await.unwrap();
    server.panic_at(point);
    let answer = raw.request("GET /socket.io/?EIO=4&transport=polling HTTP/1.1", b"", PATIENCE);
    assert_eq!(answer.await, None);
}

async fn be_refused(server: &Server, point: &str) {
    let mut raw = Raw::websocket(server.port(), GUEST).await.unwrap();
    server.panic_at(point);
    raw.send_text("40").await.unwrap();
    raw.hear_part("44{\"message\":\"internal\"}", PATIENCE).await.unwrap();
}

async fn join(server: &Server, point: &str) {
    let mut raw = Raw::websocket(server.port(), GUEST).await.unwrap();
    server.panic_at(point);
    raw.send_text("40").await.unwrap();
    assert!(raw.is_closed_within(AT_ONCE).await);
}

async fn send(server: &Server, point: &str) {
    let mut raw = Raw::guest(server.port()).await.unwrap();
    server.panic_at(point);
    for message in ["first", "second", "third"] {
        let event = format!("425[\"core.game.state.broadcast\",{{\"message\":{message:?}}}]");
        raw.send_text(&event).await.ok();
    }
    // Not even what came behind it is carried out: that would be a hole in what it sent.
    assert_eq!(raw.hear_part("435[{\"status\":\"ok\"", AT_ONCE).await, Err(Heard::Closed));
}

async fn come_back(server: &Server, point: &str) {
    let mut raw = Raw::websocket(server.port(), GUEST).await.unwrap();
    raw.send_text("40").await.unwrap();
    let ready = raw.hear_part(event::READY, PATIENCE).await.unwrap();
    let (_, rest) = ready.split_once("\"cursor\":\"").unwrap();
    let cursor = rest.split('"').next().unwrap().to_owned();
    drop(raw);
    Guest::connect(server).await.is_served("a cursor was given").await;
    let returns = format!("40{{\"cursor\":\"{cursor}\"}}");

    let mut raw = Raw::websocket(server.port(), GUEST).await.unwrap();
    server.panic_at(point);
    raw.send_text(&returns).await.unwrap();
    assert!(raw.is_closed_within(AT_ONCE).await);
    // It has missed nothing by that.
    let mut raw = Raw::websocket(server.port(), GUEST).await.unwrap();
    raw.join(&returns).await.unwrap();
    raw.hear_part("\"hello\"", PATIENCE).await.unwrap();
}

/// The task that writes what a socket did not take at once. What it sends nobody else gets.
async fn stop_reading(server: &Server, point: &str) {
    let mut raw = Raw::narrow_guest(server.port()).await.unwrap();
    let payload = json!({"target_user_id": "nobody", "text": "x".repeat(16_000)});
    let event = format!("42[{:?},{payload}]", event::SEND_MESSAGE);
    let before = metric(server, "game_realtime_panics_total").await;
    server.panic_at(point);
    let started = Instant::now();
    while metric(server, "game_realtime_panics_total").await == before {
        assert!(started.elapsed() < PATIENCE, "the socket is full");
        raw.send_text(&event).await.ok();
    }
    assert!(raw.is_closed_within(AT_ONCE).await);
}

#[tokio::test]
async fn a_stock_client_comes_back_by_itself_and_has_missed_nothing() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let mut guest = Guest::connect(&server).await;
    for library in [Library::JavaScript4, Library::JavaScript2, Library::Python] {
        for transports in [&["websocket"][..], &["polling"]] {
            let case = format!("{library:?} over {transports:?}");
            let driver = Driver::start(library);
            let options = ConnectOptions::player(&server.url(), &mint("alice"));
            let alice = driver.connect(&options.over(transports).reconnecting()).await.unwrap();
            let readies = alice.count_events(event::READY);
            server.panic_at("worker");
            let patience = Duration::from_millis(100);
            alice
                .emit_within(event::BROADCAST, json!({"message": case}), patience)
                .await
                .unwrap_err();
            server.await_panic().await;
            alice.await_events(event::READY, readies + 1).await;
            let ack = alice.emit(event::BROADCAST, json!({"message": "back"})).await;
            shape::assert_committed(&ack, event::BROADCAST, false);
            alice.await_event(|received| received.args[0]["message"] == "back").await;
            assert!(!alice.saw(|received| received.args[0]["message"] == case.as_str()), "{case}");
            guest.await_connections_of("alice", 1).await;
            alice.disconnect().await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_is_forgotten_although_that_panics() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let mut guest = Guest::connect(&server).await;
    let driver = Driver::start(Library::JavaScript4);
    let alice = ConnectOptions::player(&server.url(), &mint("alice"));
    let alice = driver.connect(&alice).await.unwrap();
    assert_eq!(guest.connections_of("alice").await, 1);
    server.panic_at("disconnect");
    alice.disconnect().await;
    server.await_panic().await;
    guest.await_connections_of("alice", 0).await;
    server.stop().await;
}
