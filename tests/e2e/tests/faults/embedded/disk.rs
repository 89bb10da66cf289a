//! A disk that is full for a while.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::Path,
    process::Command,
    time::Duration,
};

use game_realtime_e2e::{
    Client, ConnectOptions, Node, PATIENCE, Traffic, event, mint, read_all, shape,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{settings, start_traffic};
use crate::turn::{short_or_long, turn};

const DISK_BYTES: usize = 12 << 20;
const PADDING: usize = 1000;
const POLL_INTERVAL: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_unavailable_until_there_is_space() {
    let _turn = turn().await;
    if !may_mount() {
        eprintln!("embedded, full disk: skipped, this user may not mount a file system");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.redb");
    let small = settings(&path).with_small_disk(directory.path(), DISK_BYTES);
    let mut node = Node::start(small, Vec::new()).await;
    let traffic = start_traffic(&node, PADDING).await;
    let probe = ConnectOptions::player(&node.url(), &mint("probe")).over(&["websocket"]);
    let probe = traffic.driver().connect(&probe).await.unwrap();
    for _ in 0..short_or_long(1, 3) {
        traffic.await_acked(200).await;
        let filler = node.server().path_inside(&directory.path().join("filler"));
        fill(&filler);
        let refused = ask_until(&probe, |ack| ack["status"] == "error").await;
        shape::assert_refused(&refused, "unavailable");
        assert!(node.server().exited().is_none(), "the node lives");
        fs::remove_file(&filler).unwrap();
        let freed = Instant::now();
        ask_until(&probe, |ack| ack["status"] == "ok").await;
        eprintln!("embedded, full disk: commits again {:.1?} after it was freed", freed.elapsed());
        traffic.await_acked(200).await;
    }
    let finished = Traffic::finish_all(vec![traffic], &[&probe]).await;
    let (users, beginning) = (finished.users(), finished.beginning());
    // The file as a power cut would leave it, on a disk with space.
    let saved = tempfile::tempdir().unwrap();
    let copy = saved.path().join("events.redb");
    fs::copy(node.server().path_inside(&path), &copy).unwrap();
    let restored = Node::start(settings(&copy), Vec::new()).await;
    let users: Vec<_> = users.into_iter().chain(["probe".to_owned()]).collect();
    let stored = read_all(finished.driver(), &restored.url(), &users, &beginning).await;
    finished.judge(&stored).assert_clean("embedded, full disk");
    node.stop().await;
    restored.stop().await;
}

fn may_mount() -> bool {
    let tried = Command::new("unshare").args(["--mount", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// Writes until there is no space left.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [1 << 16, 1 << 12] {
        let block = vec![1; size];
        loop {
            match file.write_all(&block) {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                    break;
                }
            }
        }
    }
}

async fn ask_until(client: &Client, is_it: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let payload = json!({"message": "x".repeat(PADDING)});
        let ack = client.emit(event::BROADCAST, payload).await;
        if is_it(&ack) {
            return ack;
        }
        assert!(started.elapsed() < PATIENCE, "the last answer is {ack}");
        sleep(POLL_INTERVAL).await;
    }
}
