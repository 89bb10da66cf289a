//! One etcd that dies or freezes: honest answers meanwhile, nothing lost, nobody closed.

use std::time::Duration;

use game_realtime_e2e::{Cluster, ClusterOptions, Traffic, TrafficOptions};
use tokio::time::{Instant, sleep_until};

use crate::{
    probes::Probes,
    turn::{READINESS_LIMIT, readiness_turns, short_or_long, turn},
};

/// How soon all traffic flows again.
const FLOW_LIMIT: Duration = Duration::from_secs(3);

/// Enough traffic that the outage does not make it too little.
const PACE: Duration = Duration::from_millis(15);
const EVENTS: usize = 400;

#[derive(Clone, Copy)]
enum Outage {
    Killed,
    Frozen,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_killed_and_started_again_loses_nothing_and_closes_nobody() {
    let _turn = turn().await;
    survive(Outage::Killed, short_or_long(1, 3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_frozen_for_five_seconds_loses_nothing_and_closes_nobody() {
    let _turn = turn().await;
    survive(Outage::Frozen, short_or_long(1, 3)).await;
}

async fn survive(outage: Outage, times: usize) {
    let mut cluster = Cluster::start(ClusterOptions::default()).await;
    let options = TrafficOptions { pace: PACE, ..TrafficOptions::default() };
    let traffic = Traffic::start(&[cluster.front.url()], options).await;
    let probes = Probes::connect(&cluster, &traffic).await;
    let started = Instant::now();
    let name = match outage {
        Outage::Killed => "etcd killed",
        Outage::Frozen => "etcd frozen",
    };
    for _ in 0..times {
        traffic.await_acked(EVENTS).await;
        let down = Instant::now();
        match outage {
            Outage::Killed => cluster.first_etcd().kill(),
            Outage::Frozen => cluster.first_etcd().freeze(),
        }
        let answered = probes.assert_unavailable_at(0..3).await;
        let turned = await_readiness(&cluster, false, down).await;
        sleep_until(down + READINESS_LIMIT).await; // the outage is as long as it is said to be
        let (back, came) = match outage {
            Outage::Killed => {
                cluster.first_etcd().restart().await;
                (Instant::now(), "started")
            }
            Outage::Frozen => {
                cluster.first_etcd().thaw();
                (Instant::now(), "thawed")
            }
        };
        let flows = probes.await_flow(back, FLOW_LIMIT).await;
        let ready = await_readiness(&cluster, true, back).await;
        eprintln!(
            "{name}: unavailable after {answered:.1?}, not ready after {turned:.1?}; once {came}: flow after {flows:.1?}, ready after {ready:.1?}"
        );
        traffic.await_acked(EVENTS).await;
    }
    probes.assert_stayed();
    for node in &cluster.nodes {
        assert_eq!(node.vitals().failures_of_liveness(started), 0, "liveness never turns");
    }
    let epoch = traffic.epoch();
    let finished = Traffic::finish_all(vec![traffic], &probes.clients()).await;
    let verdict = finished.judge(&cluster.stored(&epoch).await);
    verdict.assert_clean(name);
    assert_eq!(verdict.report.resumes, 0, "sockets stay open");
    assert_eq!(verdict.sent.unanswered, 0, "every event gets an answer");
    cluster.stop().await;
}

/// Waits until every node says so; the longest that one took.
async fn await_readiness(cluster: &Cluster, ready: bool, since: Instant) -> Duration {
    let mut longest = Duration::ZERO;
    for node in &cluster.nodes {
        longest = longest.max(readiness_turns(node.vitals(), ready, since).await);
    }
    longest
}
