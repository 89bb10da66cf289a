//! One node on the embedded store: killed, doubled, damaged, out of space.

mod damage;
mod disk;

use std::{path::Path, time::Duration};

use game_realtime_e2e::{Dice, Node, Server, Settings, Store, Traffic, TrafficOptions, read_all};

use crate::turn::{short_or_long, turn};

const KILLS: usize = 10;
const PACE: Duration = Duration::from_millis(20);

fn settings(path: &Path) -> Settings {
    Settings::new(&Store::File(path.to_owned()))
        .with("embedded.request_timeout", "1s")
        .with("events.replay_window", "2h")
        .with("events.retention", "2h")
        .with("events.idempotency_window", "2h")
}

async fn start_traffic(node: &Node, padding: usize) -> Traffic {
    let options = TrafficOptions { pace: PACE, padding, ..TrafficOptions::default() };
    Traffic::start(&[node.url()], options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_ten_times_under_load_loses_nothing_it_acknowledged() {
    let _turn = turn().await;
    let seed = u64::from(std::process::id());
    eprintln!("embedded, killed: seed {seed}");
    let mut dice = Dice::new(seed);
    let directory = tempfile::tempdir().unwrap();
    let mut node = Node::start(settings(&directory.path().join("events.redb")), Vec::new()).await;
    let traffic = start_traffic(&node, 0).await;
    for _ in 0..short_or_long(KILLS, KILLS * 3) {
        traffic.await_acked(20 + dice.index(100)).await;
        node.kill();
        node.restart().await;
        traffic.await_flow().await;
    }
    traffic.await_acked(100).await;
    let finished = traffic.finish().await;
    let (users, beginning) = (finished.users(), finished.beginning());
    // What is read now has been read from the file.
    node.restart().await;
    let stored = read_all(finished.driver(), &node.url(), &users, &beginning).await;
    let verdict = finished.judge(&stored);
    verdict.assert_clean("embedded, killed");
    assert!(verdict.report.resumes >= KILLS * 10, "everybody came back every time");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_file_is_refused_and_harms_nothing() {
    let _turn = turn().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.redb");
    let node = Node::start(settings(&path), Vec::new()).await;
    let traffic = start_traffic(&node, 0).await;
    traffic.await_acked(50).await;
    let mut second = Server::spawn(&settings(&path));
    assert_eq!(second.ended().await.code(), Some(1));
    let log = second.log();
    assert!(log.contains("in use by another process"), "{log}");
    traffic.await_acked(200).await;
    let finished = traffic.finish().await;
    let (users, beginning) = (finished.users(), finished.beginning());
    let stored = read_all(finished.driver(), &node.url(), &users, &beginning).await;
    finished.judge(&stored).assert_clean("embedded, second process");
    node.stop().await;
}
