//! How many instructions the hot paths take, so that a change which makes one of them dearer is seen
//! even on a machine that is too busy for a clock. Counted by valgrind, in user mode, in the binary
//! that the tests use: twice as many here as in a release, but what grows there grows here too.
//!
//! Each figure is the difference between much and little of the same work, so what starting and
//! stopping costs is not in it. `INSTRUCTIONS_UPDATE=1` writes the figures down as the new baseline,
//! `INSTRUCTIONS_PROFILES=DIR` keeps there what `callgrind_annotate` reads.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test: what cannot go on fails it, and the figures are shown"
)]

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use game_realtime_e2e::{
    PATIENCE, Server, Settings, Store, event, mint,
    raw::{PRIVATE, Raw},
};

/// A figure that has grown by more than this fails the test.
const TOLERANCE: f64 = 1.05;
/// What else a node does meanwhile comes on top, and more of it on a slow machine: the least of so many
/// runs counts.
const ATTEMPTS: usize = 3;
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/instructions.baseline");

/// What is measured, each done a number of times against a fresh server.
#[derive(Debug, Clone, Copy)]
enum Work {
    /// A player comes and goes.
    Connect,
    /// A player buys something: one event, its answer and its delivery.
    Buy,
    /// A broadcast to [`LISTENERS`] players.
    Broadcast,
    /// A player comes back who has missed [`MISSED`] events.
    Resume,
}

/// So many, and so many broadcasts, that neither their joins nor the commits blur what a delivery takes.
const LISTENERS: u32 = 400;
const MISSED: u32 = 500;

impl Work {
    async fn execute(self, port: u16, times: u32) {
        match self {
            Self::Connect => {
                for number in 0..times {
                    join(port, &format!("player {number}"), None).await;
                }
            }
            Self::Buy => {
                let mut player = join(port, "player", None).await;
                for number in 0..times {
                    let good = format!("{number}[\"{}\",", event::BUY_GOOD);
                    let packet = format!("42{good}{{\"good_id\":\"sword\",\"count\":1}}]");
                    player.send_text(&packet).await.expect("connected");
                    player.hear_part(&format!("43{number}["), PATIENCE).await.expect("an answer");
                }
            }
            Self::Broadcast => {
                let mut players = Vec::new();
                for number in 0..LISTENERS {
                    players.push(join(port, &format!("player {number}"), None).await);
                }
                for number in 0..times {
                    let message = format!("number {number}.");
                    broadcast(players.first_mut().expect("a player"), &message).await;
                    for player in &mut players {
                        player.hear_part(&message, PATIENCE).await.expect("delivered");
                    }
                }
            }
            Self::Resume => {
                let mut speaker = join(port, "speaker", None).await;
                broadcast(&mut speaker, "first.").await;
                let first = speaker.hear_part("first.", PATIENCE).await.expect("delivered");
                let cursor = first.split("\"cursor\":\"").nth(1).expect("a cursor");
                let cursor = cursor.split('"').next().expect("its end");
                for number in 0..MISSED {
                    let message = format!("number {number}.");
                    broadcast(&mut speaker, &message).await;
                    speaker.hear_part(&message, PATIENCE).await.expect("delivered");
                }
                let last = format!("number {}.", MISSED - 1);
                for number in 0..times {
                    let user = format!("player {number}");
                    let mut player = join(port, &user, Some(cursor)).await;
                    player.hear_part(&last, PATIENCE).await.expect("replayed");
                }
            }
        }
    }
}

async fn join(port: u16, user: &str, cursor: Option<&str>) -> Raw {
    let mut player = Raw::websocket(port, PRIVATE).await.expect("a websocket");
    let cursor = cursor.map_or_else(String::new, |cursor| format!(",\"cursor\":\"{cursor}\""));
    let packet = format!("40{{\"token\":\"{}\"{cursor}}}", mint(user));
    player.join(&packet).await.expect("joined");
    player
}

async fn broadcast(player: &mut Raw, message: &str) {
    let packet = format!("42[\"{}\",{{\"message\":\"{message}\"}}]", event::BROADCAST);
    player.send_text(&packet).await.expect("connected");
}

/// The instructions of a server's whole life that does this work so often.
async fn count(work: Work, times: u32) -> f64 {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let directory = env::var_os("INSTRUCTIONS_PROFILES").map(PathBuf::from);
    let directory = directory.unwrap_or_else(|| temporary.path().to_owned());
    let file = directory.join(format!("{work:?}-{times}.callgrind"));
    // The first ping need not be answered, no other comes, and no line is logged for a client more or less.
    let settings = Settings::new(&Store::Memory)
        .with("limits.ping_interval", "10m")
        .with("limits.ping_timeout", "10m")
        .with("log.level", "warn")
        .with_counted_instructions(&file);
    let server = Server::start(&settings).await;
    work.execute(server.port(), times).await;
    server.stop().await;
    total(&file)
}

fn total(file: &Path) -> f64 {
    let text = fs::read_to_string(file).expect("valgrind has written what it counted");
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.and_then(|total| total.trim().parse().ok()).expect("a total")
}

/// Instructions of each piece of this work; `pieces` are what one execution consists of.
async fn cost(work: Work, (little, much): (u32, u32), pieces: u32) -> f64 {
    let (less, more) = tokio::join!(count(work, little), count(work, much));
    (more - less) / f64::from((much - little) * pieces)
}

/// What everything costs, in one run.
async fn measure() -> BTreeMap<&'static str, f64> {
    let event = cost(Work::Buy, (50, 250), 1).await;
    let broadcast = cost(Work::Broadcast, (5, 205), 1).await;
    let measured = BTreeMap::from([
        ("connection", cost(Work::Connect, (20, 100), 1).await),
        ("event", event),
        ("delivery", (broadcast - event) / f64::from(LISTENERS)),
        ("replayed event", cost(Work::Resume, (2, 102), MISSED).await),
    ]);
    for (name, cost) in &measured {
        println!("{name}: {cost:.0} instructions");
    }
    measured
}

fn baseline() -> BTreeMap<String, f64> {
    let baseline = fs::read_to_string(BASELINE).expect("the baseline can be read");
    let lines = baseline.lines().filter_map(|line| line.split_once(": "));
    lines.map(|(name, cost)| (name.to_owned(), cost.parse().expect("a number"))).collect()
}

/// Which figures have grown too much.
fn dearer(measured: &BTreeMap<&str, f64>, baseline: &BTreeMap<String, f64>) -> Vec<String> {
    let before = |name: &str| *baseline.get(name).expect("every figure has a baseline");
    measured
        .iter()
        .filter(|(name, cost)| **cost / before(name) > TOLERANCE)
        .map(|(name, cost)| {
            format!("{name}: {cost:.0} instead of {:.0} instructions", before(name))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_hot_path_has_become_dearer() {
    let mut measured = measure().await;
    if env::var_os("INSTRUCTIONS_UPDATE").is_some() {
        let lines = measured.iter().fold(String::new(), |mut lines, (name, cost)| {
            writeln!(lines, "{name}: {cost:.0}").expect("text can be written to");
            lines
        });
        fs::write(BASELINE, lines).expect("the baseline can be written");
        return;
    }
    let baseline = baseline();
    for _ in 1..ATTEMPTS {
        if dearer(&measured, &baseline).is_empty() {
            return;
        }
        for (name, again) in measure().await {
            measured.entry(name).and_modify(|cost| *cost = cost.min(again));
        }
    }
    let dearer = dearer(&measured, &baseline);
    assert!(dearer.is_empty(), "{dearer:#?}; if it has to be: INSTRUCTIONS_UPDATE=1");
}
