//! Connections that operators end, on whichever node.

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{
    Client, Driver, Etcd, Flow, Form, Library, Link, PATIENCE, Settings, Store, event, shape,
};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::nodes::{ApiNode, cluster};

const LIBRARIES: [Library; 4] =
    [Library::JavaScript4, Library::JavaScript3, Library::JavaScript2, Library::Python];
/// Longer than the libraries wait before they come back.
const RECONNECTION: Duration = Duration::from_millis(1_600);

/// Each was told to stay away, and stays away.
async fn assert_kicked(clients: &[&Client]) {
    let told = join_all(clients.iter().map(|client| client.await_lifecycle("disconnect"))).await;
    for (client, told) in clients.iter().zip(&told) {
        let reason = told.reason.as_deref().unwrap_or_default();
        let said = ["io server disconnect", "server disconnect"].contains(&reason);
        assert!(said, "{}: {reason}", client.name());
    }
    sleep(RECONNECTION).await; // whoever came back would have done so by now
    for client in clients {
        assert_eq!(client.count_lifecycle("connect"), 1, "{}", client.name());
        assert_eq!(client.count_lifecycle("reconnect_attempt"), 0, "{}", client.name());
    }
}

fn assert_untouched(clients: &[&Client]) {
    for client in clients {
        assert_eq!(client.count_lifecycle("disconnect"), 0, "{}", client.name());
    }
}

/// Waits until so many connections of a player are registered.
async fn await_registered(node: &ApiNode, user: &str, count: usize) {
    let path = format!("/api/v1/connections?user_id={user}");
    let registered = async {
        while node.api.get(&path).await.json["connections"].as_array().unwrap().len() != count {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, registered).await.unwrap_or_else(|_| panic!("{user} has not {count}"));
}

/// How many connections a node has ended on order.
async fn kicked(node: &ApiNode, namespace: &str) -> usize {
    let series =
        format!(r#"game_realtime_disconnects_total{{namespace="{namespace}",reason="kicked"}} "#);
    let metrics = node.server.admin("/metrics").await.unwrap().body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&series)).unwrap();
    line.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_is_kicked_off_every_node_and_every_stock_client_stays_away() {
    let etcd = Etcd::start().await;
    let nodes = cluster(&etcd, "/e2e/api/kick", 3).await;
    let drivers = LIBRARIES.map(Driver::start);
    let transports = [&["polling"][..], &["websocket"], &["polling", "websocket"]];
    let mut connecting = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        for (place, driver) in drivers.iter().enumerate() {
            let form = if (number + place) % 2 == 0 { Form::Path } else { Form::Namespace };
            let transports = transports[(number + place) % transports.len()];
            let options = node.player("alice").by(form).over(transports).reconnecting();
            connecting.push(async move { driver.connect(&options).await.unwrap() });
        }
    }
    let alices = join_all(connecting).await;
    let mut others = Vec::new();
    for node in &nodes {
        others.push(drivers[0].connect(&node.player("bob").reconnecting()).await.unwrap());
        others.push(drivers[0].connect(&node.guest().reconnecting()).await.unwrap());
    }
    assert_eq!(alices.len(), 12);

    let begun = Instant::now();
    let ordered = nodes[0].api.delete("/api/v1/connections?user_id=alice").await;
    assert_eq!(ordered.status, 202);
    assert_eq!(ordered.json, json!({"status": "ok", "connections": 12}));
    // Who comes right afterwards is another connection.
    let back = drivers[0].connect(&nodes[2].player("alice").reconnecting()).await.unwrap();
    assert_kicked(&alices.iter().collect::<Vec<_>>()).await;
    eprintln!("twelve were told within {:?}", begun.elapsed() - RECONNECTION);
    await_registered(&nodes[1], "alice", 1).await;
    assert_untouched(&others.iter().chain([&back]).collect::<Vec<_>>());
    for node in &nodes {
        assert_eq!(kicked(node, "private").await, 4);
        assert_eq!(kicked(node, "guest").await, 0);
    }
    // They do take part.
    let said = nodes[1].api.publish(event::BROADCAST, "", &json!({"message": "hello"})).await;
    let id = shape::assert_committed(&said.json, event::BROADCAST, false);
    back.await_event(|event| event.payload()["id"] == *id).await;
    for node in nodes {
        node.server.stop().await;
    }
}

async fn one_connection_is_kicked(here: &ApiNode, there: &ApiNode) {
    let driver = Driver::start(Library::JavaScript4);
    let guests = [&here, &there, &there].map(|node| node.guest().reconnecting());
    let guests = join_all(guests.iter().map(|options| driver.connect(options))).await;
    let guests: Vec<_> = guests.into_iter().map(Result::unwrap).collect();
    let alices = [there.player("alice"), there.player("alice")];
    let alices = join_all(alices.iter().map(|options| driver.connect(options))).await;
    let alices: Vec<_> = alices.into_iter().map(Result::unwrap).collect();
    for (client, others) in
        [(&guests[1], [&guests[0], &guests[2]]), (&alices[0], [&alices[1], &guests[2]])]
    {
        let path = format!("/api/v1/connections/{}", client.ready_text("connection_id"));
        let ordered = here.api.delete(&path).await;
        assert_eq!(ordered.status, 202);
        assert_eq!(ordered.json, json!({"status": "ok", "connections": 1}));
        assert_kicked(&[client]).await;
        assert_untouched(&others);
        let again = here.api.delete(&path).await;
        assert_eq!(again.json, json!({"status": "ok", "connections": 0}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_kicked_alone_on_another_node() {
    let etcd = Etcd::start().await;
    let nodes = cluster(&etcd, "/e2e/api/kick/one", 2).await;
    one_connection_is_kicked(&nodes[0], &nodes[1]).await;
    for node in nodes {
        node.server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_embedded_store_players_and_connections_are_kicked_too() {
    let node = ApiNode::alone().await;
    one_connection_is_kicked(&node, &node).await;
    let driver = Driver::start(Library::Python);
    let bob = driver.connect(&node.player("bob").reconnecting()).await.unwrap();
    let ordered = node.api.delete("/api/v1/connections?user_id=bob").await;
    assert_eq!(ordered.json, json!({"status": "ok", "connections": 1}));
    assert_kicked(&[&bob]).await;
    let ordered = node.api.delete("/api/v1/connections?user_id=bob").await;
    assert_eq!((ordered.status, &ordered.json["connections"]), (202, &json!(0)));
    node.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_carries_out_what_it_missed_and_no_more() {
    let etcd = Etcd::start().await;
    let settings = |endpoint: String| {
        let store = Store::Etcd { endpoint, prefix: "/e2e/api/kick/cut".to_owned() };
        Settings::new(&store).with("etcd.lease_ttl", "2s").with("etcd.request_timeout", "1s")
    };
    let link = Link::to(etcd.client_port()).await;
    let here = ApiNode::start(settings(etcd.endpoint())).await;
    let there = ApiNode::start(settings(link.endpoint())).await;
    let driver = Driver::start(Library::JavaScript4);
    let alice = driver.connect(&there.player("alice").reconnecting()).await.unwrap();
    let bob = driver.connect(&there.player("bob").reconnecting()).await.unwrap();

    link.set(Flow::Stalled);
    // Until the node's leases are gone, and with them all that etcd knew of its connections.
    await_registered(&here, "alice", 0).await;
    let ordered = here.api.delete("/api/v1/connections?user_id=alice").await;
    assert_eq!(ordered.json, json!({"status": "ok", "connections": 0}));
    let elsewhere = driver.connect(&here.player("alice").reconnecting()).await.unwrap();
    assert_untouched(&[&alice]);
    link.set(Flow::Open);
    assert_kicked(&[&alice]).await;
    await_registered(&here, "alice", 1).await;
    await_registered(&here, "bob", 1).await;
    assert_untouched(&[&bob, &elsewhere]);

    // A watch that breaks again and again misses nothing either.
    link.cut();
    let carol = driver.connect(&there.player("carol").reconnecting()).await;
    let carol = match carol {
        Ok(carol) => carol,
        Err(_) => driver.connect(&there.player("carol").reconnecting()).await.unwrap(),
    };
    link.cut();
    let ordered = here.api.delete("/api/v1/connections?user_id=carol").await;
    assert_eq!(ordered.json["connections"], 1);
    assert_kicked(&[&carol]).await;
    for node in [here, there] {
        node.server.stop().await;
    }
}
