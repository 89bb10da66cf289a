//! A node under all kinds of nonsense, at every layer at once, with stock clients beside it who must not
//! notice; and what has to be true of it in the end.

mod attacker;
mod inputs;
mod remains;

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use attacker::Tally;

use crate::{Dice, Etcd, Server, Settings, Store, Traffic, TrafficOptions};

/// What all keys begin with.
const PREFIX: &str = "/e2e/fuzz";
/// How many clients send nonsense at the same time.
const ATTACKERS: usize = 16;
/// How long what they leave behind may stay: a client that vanishes is gone by then.
const GONE_WITHIN: Duration = Duration::from_secs(25);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const PANICS: &str = "game_realtime_panics_total";

/// What it came to.
#[derive(Debug)]
pub struct Fuzzed {
    /// What was sent, and how it was met.
    pub tally: Tally,
    /// How long that took.
    pub took: Duration,
    /// Events in the store, those of the stock clients among them.
    pub stored: usize,
    /// Events that the stock clients were acknowledged.
    pub acknowledged: usize,
    /// Memory before and at most, in KiB.
    pub memory: (u64, u64),
}

/// Sends so many inputs, which the seed decides, to a node with its default limits.
///
/// # Panics
/// When the node panics or ends, when a stock client is harmed, or when the store holds something it
/// should not.
pub async fn fuzz(seed: u64, inputs: usize) -> Fuzzed {
    let etcd = Etcd::start().await;
    let store = Store::Etcd { endpoint: etcd.endpoint(), prefix: PREFIX.to_owned() };
    // The stock clients buy far more than players do.
    let settings = Settings::new(&store)
        .with_default_limits()
        .with_toml("limits.rates.buy_good.per_second", "100");
    let mut server = Server::start(&settings).await;
    let options = TrafficOptions { users: 2, guests: 2, ..TrafficOptions::default() };
    let traffic = Traffic::start(&[server.url()], options).await;
    traffic.await_flow().await;
    let (before, _) = server.memory();

    let started = Instant::now();
    let mut dice = Dice::new(seed);
    let seeds: Vec<_> = (0..ATTACKERS).map(|_| dice.below(u64::MAX)).collect();
    let port = server.port();
    let share = inputs.div_ceil(ATTACKERS);
    let attacks = seeds.into_iter().map(|seed| tokio::spawn(attacker::attack(port, seed, share)));
    let mut tally = Tally::default();
    for attack in join_all(attacks).await {
        tally.add(&attack.expect("an attacker does not panic"));
    }
    let took = started.elapsed();
    traffic.await_flow().await;
    assert_eq!(server.exited(), None, "the process lives");
    assert_eq!(panics(&server).await, "0", "seed {seed}: {}", server.log());
    await_alone(&etcd, traffic.clients().len()).await;
    let (_, most) = server.memory();

    let epoch = traffic.epoch();
    let finished = traffic.finish().await;
    let users = finished.users();
    let stored = etcd.events(PREFIX, &epoch).await;
    let keys = etcd.read(&format!("{PREFIX}/")).await;
    remains::assert_right(&keys, &stored, &users);
    let verdict = finished.judge(&stored);
    verdict.assert_clean("fuzzed node");
    assert_eq!(verdict.report.resumes, 0, "no stock client was cut off");
    let acknowledged = verdict.report.acked;
    server.stop().await;
    Fuzzed { tally, took, stored: stored.len(), acknowledged, memory: (before, most) }
}

async fn panics(server: &Server) -> String {
    let metrics = server.admin("/metrics").await.expect("the admin port answers").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(PANICS)?.strip_prefix(' '));
    line.expect("panics are counted").to_owned()
}

/// Waits until the registry knows nobody but so many.
async fn await_alone(etcd: &Etcd, honest: usize) {
    let started = Instant::now();
    loop {
        let registered = etcd.read(&format!("{PREFIX}/connections/")).await.len();
        if registered == honest {
            return;
        }
        assert!(started.elapsed() < GONE_WITHIN, "{registered} are registered, {honest} are there");
        sleep(POLL_INTERVAL).await;
    }
}
