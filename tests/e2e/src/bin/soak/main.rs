//! Breaks a cluster in random ways for a while, under live traffic, and says whether the promises
//! were kept: `soak [minutes] [seed] [fault]`. Exit code 1 if not; then the nodes' logs are kept.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for developers that fails loudly and prints what it does"
)]

mod fault;

use std::{
    collections::BTreeMap,
    env, fs,
    hash::{BuildHasher as _, RandomState},
    process::ExitCode,
    time::Duration,
};

use game_realtime_e2e::{Cluster, ClusterOptions, Dice, Traffic, TrafficOptions, Verdict};
use tokio::time::Instant;

use fault::Fault;

const DEFAULT_MINUTES: f64 = 15.0;
const PACE: Duration = Duration::from_millis(40);
/// Events that go through in peace between two faults.
const FEWEST_BETWEEN: usize = 50;
const MOST_BETWEEN: usize = 400;
/// How soon after the last fault the registry has to be right.
const REGISTRY_LIMIT: Duration = Duration::from_secs(10);

/// How often what was broken.
type Faults = BTreeMap<&'static str, usize>;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let minutes = arguments.next().map_or(DEFAULT_MINUTES, |text| text.parse().expect("minutes"));
    // A fresh RandomState is seeded differently in every process.
    let seed = arguments.next().filter(|text| !text.is_empty());
    let seed = seed.map_or_else(
        || RandomState::new().hash_one(()) % 1_000_000,
        |text| text.parse().expect("a seed is a number"),
    );
    println!("soak: {minutes} minutes, seed {seed} (just soak {minutes} {seed})");
    // Only faults whose name has this in it.
    let only = arguments.next().unwrap_or_default();
    let soaked = tokio::spawn(soak(Duration::from_secs_f64(minutes * 60.0), seed, only)).await;
    let Ok((verdict, faults)) = soaked else {
        println!("soak: FAILED, seed {seed}: it did not get to its end");
        return ExitCode::FAILURE;
    };
    println!("soak: {verdict}");
    println!("soak: faults: {faults:?}, {} in all", faults.values().sum::<usize>());
    println!(
        "soak: {} events ({:.0}/s), {} acknowledged, {} resumes, {} lost, {} duplicated, {} violations",
        verdict.stored,
        verdict.events_per_second,
        verdict.report.acked,
        verdict.report.resumes,
        verdict.lost(),
        verdict.twice(),
        verdict.report.violations.len(),
    );
    if verdict.is_clean() {
        println!("soak: every promise was kept, seed {seed}");
        ExitCode::SUCCESS
    } else {
        println!("soak: FAILED, seed {seed}");
        ExitCode::FAILURE
    }
}

async fn soak(duration: Duration, seed: u64, only: String) -> (Verdict, Faults) {
    let options = ClusterOptions { nodes: 3, members: 3, linked: true };
    let mut cluster = Cluster::start(options).await;
    let options = TrafficOptions { pace: PACE, ..TrafficOptions::default() };
    let traffic = Traffic::start(&[cluster.front.url()], options).await;
    let mut dice = Dice::new(seed);
    let mut faults = Faults::new();
    let started = Instant::now();
    while started.elapsed() < duration {
        traffic.await_acked(FEWEST_BETWEEN + dice.index(MOST_BETWEEN - FEWEST_BETWEEN)).await;
        let fault = Fault::random(&mut dice, &only);
        let at = started.elapsed();
        let what = fault.happen(&mut cluster, &traffic, &mut dice).await;
        let flows = traffic.await_flow().await;
        println!("{:6.1} s: {what}; flow to all after {flows:.1?}", at.as_secs_f64());
        *faults.entry(fault.name()).or_default() += 1;
    }
    cluster.await_ready().await;
    traffic.await_acked(MOST_BETWEEN).await;
    let right = cluster.await_registry(&traffic.clients(), REGISTRY_LIMIT).await;
    println!(
        "{:6.1} s: the end; registry right after {right:.1?}",
        started.elapsed().as_secs_f64()
    );
    let epoch = traffic.epoch();
    let finished = traffic.finish().await;
    let verdict = finished.judge(&cluster.stored(&epoch).await);
    if !verdict.is_clean() {
        keep_logs(&cluster, seed);
        if !cluster.members_agree().await {
            println!(
                "soak: the members of etcd disagree among themselves: use etcd 3.5.3 or later"
            );
        }
    }
    cluster.stop().await;
    (verdict, faults)
}

/// Writes what the nodes have logged to where it stays.
fn keep_logs(cluster: &Cluster, seed: u64) {
    for (number, node) in cluster.nodes.iter().enumerate() {
        let path = env::temp_dir().join(format!("soak-{seed}-node-{number}.log"));
        match fs::write(&path, node.log()) {
            Ok(()) => println!("soak: the log of node {number} is {}", path.display()),
            Err(error) => println!("soak: the log of node {number} is lost: {error}"),
        }
    }
}
