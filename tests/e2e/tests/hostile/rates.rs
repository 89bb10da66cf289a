//! How often a client may do what costs others something.

use std::{net::Ipv4Addr, time::Duration};

use futures_util::future::join_all;
use game_realtime_e2e::{
    ConnectOptions, Driver, Library, PATIENCE, Server, Settings, Store, event, get_with_headers,
    mint,
    raw::{GUEST, Raw},
    shape,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::honest::refusals;

fn settings(rate: &str, per_second: u32, burst: u32) -> Settings {
    Settings::new(&Store::Memory)
        .with_toml(&format!("limits.rates.{rate}.per_second"), &per_second.to_string())
        .with_toml(&format!("limits.rates.{rate}.burst"), &burst.to_string())
}

fn code(answer: &Value) -> &str {
    answer.pointer("/error/code").and_then(Value::as_str).unwrap_or("ok")
}

#[tokio::test]
async fn a_connection_over_its_budget_is_told_so_and_may_go_on_later() {
    let server = Server::start(&settings("connection", 1, 5)).await;
    for (library, transports) in [
        (Library::JavaScript4, &["websocket"][..]),
        (Library::JavaScript2, &["polling"]),
        (Library::Python, &["polling", "websocket"]),
    ] {
        let case = format!("{library:?} over {transports:?}");
        let driver = Driver::start(library);
        let options = ConnectOptions::player(&server.url(), &mint("alice")).over(transports);
        let client = driver.connect(&options).await.unwrap();
        // Of whatever kind, and whether they are valid or not.
        let sent = (0..10).map(|number| match number % 3 {
            0 => client.emit(event::BROADCAST, json!({"message": "a"})),
            1 => client.emit(event::BUY_GOOD, json!({"good_id": "a", "count": 1})),
            _ => client.emit(event::BROADCAST, json!({"nonsense": 1})),
        });
        let answers = join_all(sent).await;
        let limited: Vec<_> =
            answers.iter().filter(|answer| code(answer) == "rate_limited").collect();
        assert!((1..=5).contains(&limited.len()), "{case}: {answers:?}");
        for answer in limited {
            shape::assert_refused(answer, "rate_limited");
        }
        sleep(Duration::from_millis(1100)).await;
        let answer = client.emit(event::BROADCAST, json!({"message": "later"})).await;
        shape::assert_committed(&answer, event::BROADCAST, false);
        client.disconnect().await;
    }
    assert!(refusals(&server, "connection_rate").await >= 3);
    server.stop().await;
}

#[tokio::test]
async fn a_user_has_one_budget_for_each_event_and_a_guest_connection_its_own() {
    let server = Server::start(&settings("broadcast", 1, 5)).await;
    let driver = Driver::start(Library::JavaScript4);
    let player = |user: &str| ConnectOptions::player(&server.url(), &mint(user));
    let alice = driver.connect(&player("alice")).await.unwrap();
    let alice_too = driver.connect(&player("alice")).await.unwrap();
    let bob = driver.connect(&player("bob")).await.unwrap();
    let guest = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
    let guest_too = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
    let broadcast = || json!({"message": "a"});
    let sent = (0..5).flat_map(|_| {
        [alice.emit(event::BROADCAST, broadcast()), alice_too.emit(event::BROADCAST, broadcast())]
    });
    let answers = join_all(sent).await;
    let limited = answers.iter().filter(|answer| code(answer) == "rate_limited").count();
    assert!((1..=5).contains(&limited), "{answers:?}");
    assert_eq!(refusals(&server, "user_rate").await, limited as u64);
    // A budget does not come back with a connection.
    alice.disconnect().await;
    let alice = driver.connect(&player("alice")).await.unwrap();
    let answers = join_all((0..5).map(|_| alice.emit(event::BROADCAST, broadcast()))).await;
    assert!(answers.iter().any(|answer| code(answer) == "rate_limited"), "{answers:?}");
    for client in [&bob, &guest, &guest_too] {
        for answer in join_all((0..5).map(|_| client.emit(event::BROADCAST, broadcast()))).await {
            shape::assert_committed(&answer, event::BROADCAST, false);
        }
    }
    let purchase = json!({"good_id": "a", "count": 1});
    shape::assert_committed(&alice.emit(event::BUY_GOOD, purchase).await, event::BUY_GOOD, false);
    server.stop().await;
}

#[tokio::test]
async fn handshakes_of_one_address_are_limited_before_anything_else() {
    let server = Server::start(&settings("handshakes", 1, 5)).await;
    let polling = format!("{GUEST}?EIO=4&transport=polling");
    let mut refused = 0;
    for _ in 0..20 {
        let answer = get_with_headers(server.port(), &polling, &[]).await.unwrap();
        match answer.status {
            200 => {}
            429 => {
                refused += 1;
                assert!(answer.head.to_ascii_lowercase().contains("retry-after: 1"));
                assert_eq!(answer.body, "rate_limited");
            }
            status => panic!("{status}"),
        }
    }
    assert!((10..=15).contains(&refused), "{refused}");
    assert_eq!(refusals(&server, "handshake_rate").await, refused);
    // A WebSocket is a handshake too. What others claim to be makes no difference, unless they are
    // believed.
    let websockets = join_all((0..5).map(|_| Raw::websocket(server.port(), GUEST))).await;
    assert!(websockets.iter().any(Result::is_err));
    let claim = [("X-Forwarded-For", "192.0.2.1")];
    let claims = (0..5).map(|_| get_with_headers(server.port(), &polling, &claim));
    let answers = join_all(claims).await;
    assert!(answers.into_iter().any(|answer| answer.unwrap().status == 429));
    let elsewhere = Ipv4Addr::new(127, 0, 0, 2);
    Raw::websocket_from(elsewhere, server.port(), GUEST).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_every_client_has_its_own_limits() {
    let settings =
        settings("handshakes", 1, 2).with_toml("http.trusted_proxies", "[\"127.0.0.1/32\"]");
    let server = Server::start(&settings).await;
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        let mut statuses = Vec::new();
        for claimed in 1..=10 {
            let mut raw = Raw::connect(server.port()).await.unwrap();
            let request = format!(
                "GET {GUEST}?EIO=4&transport=polling HTTP/1.1\r\n\
                 X-Forwarded-For: 198.51.100.{claimed}, {address}"
            );
            statuses.push(raw.request(&request, b"", PATIENCE).await.unwrap().0);
        }
        assert_eq!(statuses[..2], [200, 200], "{address}");
        assert!(statuses.contains(&429), "{address}: {statuses:?}");
    }
    server.stop().await;
}
