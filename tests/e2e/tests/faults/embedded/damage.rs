//! A file that is cut short or has a wrong bit: refused loudly, or read whole, never wrongly.

use std::{fs, path::Path};

use game_realtime_e2e::{Dice, Driver, Library, Node, Server, read_all, validator::Delivery};

use super::{settings, start_traffic};
use crate::turn::{short_or_long, turn};

/// What a file was supposed to hold.
struct Truth {
    users: Vec<String>,
    beginning: String,
    stored: Vec<Delivery>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_refused_loudly_or_read_whole() {
    let _turn = turn().await;
    let seed = u64::from(std::process::id());
    let mut dice = Dice::new(seed);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.redb");
    let mut node = Node::start(settings(&path), Vec::new()).await;
    let traffic = start_traffic(&node, 500).await;
    traffic.await_acked(300).await;
    let finished = traffic.finish().await;
    let (users, beginning) = (finished.users(), finished.beginning());
    let stored = read_all(finished.driver(), &node.url(), &users, &beginning).await;
    let truth = Truth { users, beginning, stored: stored.clone() };
    finished.judge(&stored).assert_clean("embedded, before the damage");

    node.kill();
    let killed = fs::read(&path).unwrap();
    node.restart().await;
    node.stop().await;
    let closed = fs::read(&path).unwrap();

    let driver = Driver::start(Library::JavaScript4);
    let copy = directory.path().join("damaged.redb");
    let (mut refused, mut whole) = (0, 0);
    for bytes in [&killed, &closed] {
        let mut damaged = vec![bytes.clone()];
        for length in [0, 1, 100, bytes.len() / 2, bytes.len() - 4096, bytes.len() - 1] {
            damaged.push(bytes[..length].to_vec());
        }
        for _ in 0..short_or_long(4, 20) {
            let mut flipped = bytes.clone();
            let place = dice.index(flipped.len());
            flipped[place] ^= 1 << dice.below(8);
            damaged.push(flipped);
        }
        for (number, bytes) in damaged.iter().enumerate() {
            let case = format!("seed {seed}, damage {number}");
            match open_damaged(&copy, bytes, &truth, &driver, &case).await {
                Opened::Refused => refused += 1,
                Opened::Whole => whole += 1,
            }
        }
    }
    eprintln!("embedded, damaged (seed {seed}): {refused} refused, {whole} read whole");
    assert!(refused > 0 && whole >= 2, "the file without damage is read whole");
}

enum Opened {
    Refused,
    Whole,
}

async fn open_damaged(
    path: &Path,
    bytes: &[u8],
    truth: &Truth,
    driver: &Driver,
    case: &str,
) -> Opened {
    fs::write(path, bytes).unwrap();
    let settings = settings(path);
    let mut server = Server::spawn(&settings);
    let Some(status) = server.ready_or_ended().await else {
        let stored = read_all(driver, &server.url(), &truth.users, &truth.beginning).await;
        assert_eq!(stored, truth.stored, "{case}: read wrongly");
        server.kill();
        return Opened::Whole;
    };
    assert_eq!(status.code(), Some(1), "{case}: {}", server.log());
    let log = server.log();
    let told = log.lines().any(|line| line.contains("damaged.redb") && line.contains("backup"));
    assert!(told, "{case} does not say what to do: {log}");
    Opened::Refused
}
