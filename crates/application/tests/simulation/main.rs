//! Deterministic simulation of the application core: several nodes, their clients and one store,
//! in one thread and a time of its own, with everything that can go wrong, drawn from one seed.
//!
//! The store, the links to it and the clients are simulated; delivery, timeline and use cases are
//! the real ones. `SIMULATION_SEED=n` replays one schedule (and prints what happens in it, with
//! `-- --nocapture`), `SIMULATION_SCHEDULES=n` runs so many.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod client;
mod clock;
mod contract;
mod identity;
mod node;
mod plan;
mod push;
mod random;
mod request;
mod schedule;
mod store;
mod tally;
mod trace;
mod trouble;
mod validator;
mod world;

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use schedule::Outcome;
use tally::Tally;

/// What runs in about ten seconds without optimisation.
const SCHEDULES: u64 = 1000;

/// What has to happen in a hundred schedules, at least: a simulation of nothing proves nothing.
const HAPPENS: [(&str, u64); 31] = [
    ("events committed", 8000),
    ("events received", 15_000),
    ("events to replay", 5000),
    ("joins fresh", 200),
    ("joins recovered", 400),
    ("joins with a gap", 200),
    ("requests acknowledged", 10_000),
    ("requests without an answer", 2000),
    ("repeats recognised", 1500),
    ("conflicts recognised", 250),
    ("requests lost", 100),
    ("answers lost after commit", 40),
    ("answers too late", 50),
    ("connects refused", 150),
    ("connections registered again", 25),
    ("leases lost", 50),
    ("feeds broken", 100),
    ("nodes cut off", 100),
    ("nodes died", 50),
    ("nodes drained", 50),
    ("clocks set", 100),
    ("histories pruned", 40),
    ("histories pruned while they are read", 3),
    ("records that cannot be read", 50),
    ("repeats in flight", 1000),
    ("events lost for a node", 1),
    ("pushes refused by a full buffer", 2000),
    ("slow_consumer", 5),
    ("kicks ordered", 20),
    ("kicked", 20),
    ("joins of the kicked", 1),
];

fn number_from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[test]
fn whatever_goes_wrong_nothing_is_lost_nothing_comes_twice_and_nobody_is_a_ghost() {
    if let Some(seed) = number_from_environment("SIMULATION_SEED") {
        let Outcome { violations, lines, digest, .. } = schedule::run(seed, true);
        eprintln!("{}\nseed {seed} has digest {digest:016x}", lines.join("\n"));
        assert!(violations.is_empty(), "{violations:#?}");
        return;
    }
    let schedules = number_from_environment("SIMULATION_SCHEDULES").unwrap_or(SCHEDULES);
    // Other ones every time, and small enough to be typed.
    let first = RandomState::new().hash_one(()) % 1_000_000_000;
    let seeds = first..first + schedules;
    eprintln!("seeds {seeds:?}");
    let next = AtomicU64::new(seeds.start);
    let tally = Tally::default();
    let failed: Mutex<Vec<(u64, String)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    let outcome = schedule::run(seed, false);
                    tally.add_all(&outcome.tally);
                    if let Some(violation) = outcome.violations.into_iter().next() {
                        failed.lock().unwrap().push((seed, violation));
                    }
                }
            });
        }
    });
    eprintln!("{tally}");
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    for (seed, violation) in &failed {
        eprintln!("seed {seed}: {violation}");
    }
    if let Some((seed, violation)) = failed.first() {
        panic!(
            "{} of {schedules} schedules failed, the first one with: {violation}\nreplay it with \
             SIMULATION_SEED={seed} cargo test -p game-realtime-application --test simulation",
            failed.len(),
        );
    }
    for (what, per_hundred) in HAPPENS {
        let (happened, expected) = (tally.of(what), per_hundred * schedules / 100);
        // A few schedules can differ much from the mean.
        assert!(schedules < 100 || happened * 2 >= expected, "{what}: {happened}, not {expected}");
    }
}

#[test]
fn a_seed_replays_bit_for_bit() {
    let mut others = Vec::new();
    for seed in 1..=100 {
        let (first, second) = (schedule::run(seed, true), schedule::run(seed, true));
        let differs = first.lines.iter().zip(&second.lines).position(|(one, two)| one != two);
        if let Some(line) = differs {
            panic!("seed {seed}: {} or {}", first.lines[line], second.lines[line]);
        }
        assert_eq!(first.lines.len(), second.lines.len(), "seed {seed}");
        assert_eq!(first.digest, second.digest, "seed {seed}");
        assert!(!others.contains(&first.digest), "seed {seed} is another one");
        others.push(first.digest);
    }
}
