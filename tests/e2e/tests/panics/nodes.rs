//! Panics in tasks that everybody depends on.

use std::time::Duration;

use game_realtime_e2e::{
    Cluster, ClusterOptions, ConnectOptions, Driver, Library, Server, Settings, Store, Traffic,
    TrafficOptions, event, mint, raw::Raw, shape,
};
use serde_json::json;
use tokio::time::Instant;

use crate::{Guest, assert_logged};

/// How long a node may go on that cannot.
const AT_ONCE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_node_ends_at_once_with_1_when_it_cannot_go_on() {
    // The point, the file it is in, what the task is called.
    for (point, file, task) in [
        ("delivery", "delivery/task.rs", "delivery"),
        ("expiry", "expiry.rs", "expiry"),
        ("store writer", "writer.rs", "embedded writer"),
        ("listener", "server.rs", "listener"),
    ] {
        let mut server = Server::start(&Settings::new(&Store::Memory)).await;
        let mut guest = Guest::connect(&server).await;
        guest.is_served("the start").await;
        server.panic_at(point);
        guest.say("something happens").await;
        let mut another = Raw::connect(server.port()).await.unwrap();
        ends(&mut server, file, task).await;
        assert!(guest.0.is_closed_within(AT_ONCE).await, "{point}");
        assert!(another.is_closed_within(AT_ONCE).await, "{point}");
    }
}

#[tokio::test]
async fn a_node_that_cannot_hear_signals_does_not_live_on() {
    let mut server = Server::start(&Settings::new(&Store::Memory)).await;
    server.panic_at("signals");
    server.terminate();
    ends(&mut server, "signals.rs", "signals").await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_when_the_node_is_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings::new(&Store::File(directory.path().join("store.redb")));
    let mut server = Server::start(&settings).await;
    let driver = Driver::start(Library::JavaScript4);
    let alice = ConnectOptions::player(&server.url(), &mint("alice")).reconnecting();
    let alice = driver.connect(&alice).await.unwrap();
    for number in 0..20 {
        let ack = alice.emit(event::BROADCAST, json!({"message": number.to_string()})).await;
        shape::assert_committed(&ack, event::BROADCAST, false);
    }
    server.panic_at("store writer");
    let lost = alice.emit_within(event::BROADCAST, json!({"message": "lost"}), AT_ONCE).await;
    assert!(lost.as_ref().is_ok_and(|ack| ack["status"] == "error") || lost.is_err(), "{lost:?}");
    ends(&mut server, "writer.rs", "embedded writer").await;
    let again = Server::start(&settings).await;
    // By itself, from the cursor it saw last.
    alice.await_events(event::READY, 2).await;
    let ack = alice.emit(event::BROADCAST, json!({"message": "again"})).await;
    shape::assert_committed(&ack, event::BROADCAST, false);
    let received = alice.await_events(event::BROADCAST, 21).await;
    let messages: Vec<_> = received.iter().map(|it| shape::text(it.payload(), "message")).collect();
    let expected: Vec<_> =
        (0..20).map(|number| number.to_string()).chain(["again".into()]).collect();
    assert_eq!(messages, expected);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_node_that_cannot_go_on_are_served_elsewhere_and_it_leaves_no_ghosts() {
    let mut cluster = Cluster::start(ClusterOptions::default()).await;
    let traffic = Traffic::start(&[cluster.front.url()], TrafficOptions::default()).await;
    for (victim, point, file, task) in [
        (0, "delivery", "delivery/task.rs", "delivery"),
        (1, "store writer", "writer.rs", "etcd writer"),
        (2, "lease keeper", "keeper.rs", "lease keeper"),
    ] {
        // With real traffic between one end and the next.
        traffic.await_acked(150).await;
        let node = cluster.node(victim);
        let began = Instant::now();
        node.server().panic_at(point);
        ends(node.server(), file, task).await;
        traffic.await_flow().await;
        let right = cluster.await_registry(&traffic.clients(), Duration::from_secs(10)).await;
        eprintln!(
            "{point}: registry right {right:.1?} after the end, {:.1?} in all",
            began.elapsed()
        );
        cluster.node(victim).restart().await;
    }
    let epoch = traffic.epoch();
    let finished = traffic.finish().await;
    let verdict = finished.judge(&cluster.stored(&epoch).await);
    verdict.assert_clean("nodes that could not go on");
    assert!(verdict.report.resumes > 0, "somebody was there");
    cluster.stop().await;
}

async fn ends(server: &mut Server, file: &str, task: &str) {
    server.await_panic().await;
    let panicked = Instant::now();
    let status = server.ended().await;
    assert!(panicked.elapsed() < AT_ONCE, "{task}: {:?}", panicked.elapsed());
    assert_eq!(status.code(), Some(1), "{task}: {}", server.log());
    assert_logged(server, file);
    let log = server.log();
    let said = log.lines().any(|line| {
        line.contains("\"stopping at once\"") && line.contains(&format!("\"task\":\"{task}\""))
    });
    assert!(said, "{task}: {log}");
}
