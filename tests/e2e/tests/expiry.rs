//! What happens when a token runs out while its player is connected.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use game_realtime_e2e::{
    Client, ConnectOptions, Driver, Flow, Form, Library, Link, PATIENCE, Polling, Server, Settings,
    Store, event, get, mint, mint_for, sign_claims,
};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

const LIBRARIES: [Library; 4] =
    [Library::JavaScript4, Library::JavaScript3, Library::JavaScript2, Library::Python];
/// From the end of a token to the client's knowing it: what the contract grants, and what a busy
/// machine may add.
const LIMIT: Duration = Duration::from_millis(2_000 + 1_000);
const PRIVATE: &str = "/core/game/v1/real-time/private";
const GUEST: &str = "/core/game/v1/real-time/guest";

fn settings() -> Settings {
    Settings::new(&Store::Memory)
}

#[expect(clippy::disallowed_methods, reason = "tokens end by the time of day")]
fn seconds_since_epoch() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

async fn metrics(server: &Server) -> String {
    server.admin("/metrics").await.unwrap().body
}

/// Waits until so many connections of players have ended this way, and none is left.
async fn await_expired(server: &Server, count: usize) {
    let ended = format!(
        r#"game_realtime_disconnects_total{{namespace="private",reason="token_expired"}} {count}"#
    );
    let seen = async {
        while !metrics(server).await.lines().any(|line| line == ended) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let seen = timeout(PATIENCE, seen).await;
    assert!(seen.is_ok(), "{ended} is not in {}", metrics(server).await);
}

/// How many connections the store knows of a player.
async fn registered(by: &Client, user: &str) -> u64 {
    let message = json!({"target_user_id": user, "text": "are you there?"});
    let ack = by.emit(event::SEND_MESSAGE, message).await;
    ack["recipient"]["connections"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stock_client_is_told_at_the_end_of_its_token_and_stays_away() {
    let server = Server::start(&settings()).await;
    let drivers: Vec<_> = LIBRARIES.into_iter().map(Driver::start).collect();
    let witness = ConnectOptions::player(&server.url(), &mint("witness"));
    let mut witnesses = Vec::new();
    for driver in &drivers {
        // The libraries are loaded by now: what follows takes no time.
        witnesses.push(driver.connect(&witness).await.unwrap());
    }
    let token = mint_for("alice", 4);
    let end = Instant::now() + Duration::from_secs(4);
    let transports = [&["polling"][..], &["websocket"], &["polling", "websocket"]];
    let ways = [Form::Path, Form::Namespace].into_iter().flat_map(|form| {
        transports.map(|transports| {
            let options = ConnectOptions::player(&server.url(), &token);
            options.by(form).over(transports).reconnecting()
        })
    });
    let ways: Vec<_> = ways.collect();
    let connecting = drivers.iter().flat_map(|driver| ways.iter().map(|way| driver.connect(way)));
    let clients = join_all(connecting).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(registered(&witnesses[0], "alice").await, 24);
    let told = join_all(clients.iter().map(|client| client.await_lifecycle("disconnect"))).await;
    let now = Instant::now();
    assert!(now >= end && now <= end + Duration::from_secs(1) + LIMIT, "{:?}", now - end);
    for (client, told) in clients.iter().zip(&told) {
        let reason = told.reason.as_deref().unwrap_or_default();
        let said = ["io server disconnect", "server disconnect"].contains(&reason);
        assert!(said, "{}: {reason}", client.name());
    }
    await_expired(&server, clients.len()).await;
    assert_eq!(registered(&witnesses[0], "alice").await, 0);
    // Longer than the libraries wait before they come back.
    sleep(Duration::from_millis(1_600)).await;
    for client in &clients {
        assert_eq!(client.count_lifecycle("connect"), 1, "{}", client.name());
        assert_eq!(client.count_lifecycle("reconnect_attempt"), 0, "{}", client.name());
    }
    for witness in &witnesses {
        assert_eq!(witness.count_lifecycle("disconnect"), 0, "{}", witness.name());
    }
    let refused = drivers[0].connect(&ways[0]).await.err().map(|refused| refused.message);
    assert_eq!(refused.as_deref(), Some("unauthenticated"));
    server.stop().await;
}

#[tokio::test]
async fn a_token_without_an_end_in_sight_is_good() {
    let server = Server::start(&settings()).await;
    let driver = Driver::start(Library::JavaScript4);
    for exp in [json!(u64::MAX), json!(1e300), json!(seconds_since_epoch() + 1e9)] {
        let token = sign_claims(&json!({"sub": "alice", "exp": exp}));
        let options = ConnectOptions::player(&server.url(), &token);
        let client = driver.connect(&options).await.unwrap();
        sleep(Duration::from_millis(700)).await;
        assert_eq!(registered(&client, "alice").await, 1, "{exp}");
        client.disconnect().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn the_guest_on_the_same_transport_stays_and_a_transport_without_anybody_is_closed() {
    let server = Server::start(&settings().with("limits.connect_timeout", "300ms")).await;
    let auth = json!({"token": mint_for("alice", 1)});
    let (alone, both) = (Polling::open(server.port()).await, Polling::open(server.port()).await);
    for client in [&alone, &both] {
        client.send(&format!("40{PRIVATE},{auth}")).await;
        client.await_packet(&format!("42{PRIVATE},[\"{}\"", event::READY)).await;
    }
    both.send(&format!("40{GUEST},")).await;
    both.await_packet(&format!("42{GUEST},[\"{}\"", event::READY)).await;
    for client in [&alone, &both] {
        assert_eq!(client.await_packet("41").await, format!("41{PRIVATE},"));
    }
    await_expired(&server, 2).await;
    let closed = async { while alone.try_poll().await.status == 200 {} };
    timeout(Duration::from_secs(5), closed).await.expect("the transport is closed");
    both.send(&format!("42{GUEST},1[\"{}\",{{\"message\":\"still here\"}}]", event::BROADCAST))
        .await;
    both.await_packet(&format!("43{GUEST},1[{{\"status\":\"ok\"")).await;
    // And whoever was disconnected may come back the same way, with a token that is good.
    both.send(&format!("40{PRIVATE},{}", json!({"token": mint("alice")}))).await;
    both.await_packet(&format!("42{PRIVATE},[\"{}\"", event::READY)).await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_poll_and_has_no_room_left_is_cut_off() {
    // A ping that comes last takes the last place: after the events, also on a slow machine, and
    // before the token ends.
    let settings = settings().with("limits.ping_interval", "4s").with("limits.ping_timeout", "20s");
    let server = Server::start(&settings).await;
    let driver = Driver::start(Library::JavaScript4);
    let witness = driver.connect(&ConnectOptions::player(&server.url(), &mint("bob"))).await;
    let witness = witness.unwrap();
    let deaf = Polling::open(server.port()).await;
    // The first ping comes at once, and no other before it is answered.
    deaf.await_packet("2").await;
    let auth = json!({"token": mint_for("deaf", 7)});
    deaf.send(&format!("40{PRIVATE},{auth}")).await;
    deaf.await_packet(&format!("42{PRIVATE},[\"{}\"", event::READY)).await;
    for _ in 0..20 {
        witness.emit(event::BROADCAST, json!({"message": "too much"})).await;
    }
    // Its answer takes the place that events leave to answers.
    deaf.send(&format!("42{PRIVATE},1[\"{}\",{{}}]", event::BROADCAST)).await;
    assert_eq!(registered(&witness, "deaf").await, 1);
    await_expired(&server, 1).await;
    assert_eq!(registered(&witness, "deaf").await, 0);
    let polled = deaf.try_poll().await;
    assert_eq!(polled.status, 400, "{polled:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_gone_as_soon() {
    let settings =
        settings().with("limits.connect_timeout", "300ms").with("limits.ping_interval", "60s");
    let server = Server::start(&settings).await;
    let link = Link::to(server.port()).await;
    let driver = Driver::start(Library::JavaScript4);
    let token = mint_for("deaf", 3);
    let end = Instant::now() + Duration::from_secs(3);
    let options = ConnectOptions::player(&link.endpoint(), &token).over(&["websocket"]);
    let deaf = driver.connect(&options).await.unwrap();
    let witness = driver.connect(&ConnectOptions::player(&server.url(), &mint("bob"))).await;
    let witness = witness.unwrap();
    link.set(Flow::Stalled);
    let text = "x".repeat(16_000);
    // More than the kernel keeps for one connection: the rest waits in the node.
    let flood = (0..400).map(|_| witness.emit(event::BROADCAST, json!({"message": text})));
    join_all(flood).await;
    assert!(Instant::now() < end, "the machine is too slow for this test");
    await_expired(&server, 1).await;
    assert!(Instant::now() < end + Duration::from_secs(1) + LIMIT, "{:?}", Instant::now() - end);
    assert_eq!(registered(&witness, "deaf").await, 0);
    drop(deaf);
    server.stop().await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_clients_that_were_disconnected() {
    let server = Server::start(&settings().with("limits.connect_timeout", "60s")).await;
    let stays = Polling::open(server.port()).await;
    let auth = json!({"token": mint_for("alice", 1)});
    stays.send(&format!("40{PRIVATE},{auth}")).await;
    stays.await_packet("41").await;
    let before = Instant::now();
    let port = server.port();
    server.stop().await;
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    assert!(get(port, "/").await.is_err());
}
