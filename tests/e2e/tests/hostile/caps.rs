//! How many connections there may be.

use std::{net::Ipv4Addr, time::Duration};

use futures_util::future::join_all;
use game_realtime_e2e::{
    Client, ConnectOptions, Driver, Library, PATIENCE, Server, Settings, Store, mint,
    raw::{GUEST, Raw},
};
use tokio::time::{Instant, sleep};

use crate::honest::{metric, refusals};

const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Tries until there is a place again: an end takes a moment to be noticed.
async fn connect_eventually(driver: &Driver, options: &ConnectOptions) -> Client {
    let started = Instant::now();
    loop {
        match driver.connect(options).await {
            Ok(client) => return client,
            Err(refused) => assert_eq!(refused.message, "too_many_connections"),
        }
        assert!(started.elapsed() < PATIENCE, "no place becomes free");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn whoever_is_over_a_cap_is_refused_until_a_place_is_free() {
    let caps = [
        ("connections_per_user", "user_connections"),
        ("connections_per_ip", "ip_connections"),
        ("connections_per_node", "node_connections"),
    ];
    join_all(caps.map(|(key, reason)| refuse_the_third(key, reason))).await;
}

async fn refuse_the_third(key: &str, reason: &str) {
    let settings = Settings::new(&Store::Memory).with_toml(&format!("limits.{key}"), "2");
    let server = Server::start(&settings).await;
    let alice = ConnectOptions::player(&server.url(), &mint("alice"));
    let driver = Driver::start(Library::JavaScript4);
    let first = driver.connect(&alice).await.unwrap();
    let _second = driver.connect(&alice).await.unwrap();
    for library in [Library::JavaScript4, Library::JavaScript2, Library::Python] {
        let refused = Driver::start(library).connect(&alice).await.err().unwrap();
        assert_eq!(refused.message, "too_many_connections", "{key} {library:?}");
    }
    let series =
        "game_realtime_connects_total{namespace=\"private\",outcome=\"too_many_connections\"}";
    assert_eq!(metric(&server, series).await, 3, "{key}");
    assert_eq!(refusals(&server, reason).await, 3, "{key}");
    // Others are concerned by the cap of the node alone, and neighbours by that of the address.
    let bob = ConnectOptions::player(&server.url(), &mint("bob"));
    assert_eq!(driver.connect(&bob).await.is_ok(), key == "connections_per_user", "{key}");
    let mut far = Raw::websocket_from(ELSEWHERE, server.port(), GUEST).await.unwrap();
    assert_eq!(far.join("40").await.is_ok(), key != "connections_per_node", "{key}");
    first.disconnect().await;
    drop(far);
    connect_eventually(&driver, &alice).await;
    server.stop().await;
}

#[tokio::test]
async fn tcp_connections_over_the_cap_are_closed_at_once() {
    let settings = Settings::new(&Store::Memory).with_toml("limits.tcp_connections", "3");
    let server = Server::start(&settings).await;
    // One that is a WebSocket by now counts, and so does one that has said nothing yet.
    let mut first = Raw::guest(server.port()).await.unwrap();
    let second = Raw::connect(server.port()).await.unwrap();
    let mut third = Raw::guest(server.port()).await.unwrap();
    for _ in 0..3 {
        let mut refused = Raw::connect(server.port()).await.unwrap();
        assert!(refused.is_closed_within(Duration::from_secs(2)).await);
    }
    assert_eq!(refusals(&server, "tcp_connections").await, 3);
    drop(second);
    let started = Instant::now();
    while Raw::guest(server.port()).await.is_err() {
        assert!(started.elapsed() < PATIENCE, "no place becomes free");
        sleep(Duration::from_millis(20)).await;
    }
    for raw in [&mut first, &mut third] {
        raw.send_text("421[\"core.game.state.broadcast\",{\"message\":\"a\"}]").await.unwrap();
        raw.hear_part("431[", PATIENCE).await.unwrap();
    }
    server.stop().await;
}
