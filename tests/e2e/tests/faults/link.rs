//! The way between one node and etcd swallows everything for a while.

use std::time::Duration;

use game_realtime_e2e::{Cluster, ClusterOptions, Flow, Link, Node, Traffic, TrafficOptions};
use tokio::time::{Instant, sleep_until};

use crate::{
    probes::Probes,
    turn::{readiness_turns, short_or_long, turn},
};

const FLOW_LIMIT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_black_hole_between_a_node_and_etcd_loses_nothing_and_closes_nobody() {
    let _turn = turn().await;
    let options = ClusterOptions { linked: true, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await;
    let urls: Vec<_> = cluster.nodes.iter().map(Node::url).collect();
    let traffic = Traffic::start(&urls, TrafficOptions::default()).await;
    let probes = Probes::connect(&cluster, &traffic).await;
    let everybody: Vec<_> = traffic.clients().into_iter().chain(probes.clients()).collect();
    let started = Instant::now();
    let cut_off = &cluster.nodes[0];
    for hole in short_or_long(vec![6], vec![10, 2, 30]) {
        traffic.await_acked(200).await;
        let shut = Instant::now();
        cut_off.links().iter().for_each(|link| link.set(Flow::Stalled));
        let answered = probes.assert_unavailable_at(0..1).await;
        let mut turned = Duration::ZERO;
        if hole > 5 {
            turned = readiness_turns(cut_off.vitals(), false, shut).await;
        }
        sleep_until(shut + Duration::from_secs(hole)).await; // a hole is as long as it is said to be
        cut_off.links().iter().for_each(|link: &Link| link.set(Flow::Open));
        let open = Instant::now();
        let flows = probes.await_flow(open, FLOW_LIMIT).await;
        let ready = readiness_turns(cut_off.vitals(), true, open).await;
        let left = (open + FLOW_LIMIT).saturating_duration_since(Instant::now());
        cluster.await_registry(&everybody, left).await;
        eprintln!(
            "hole of {hole} s: unavailable after {answered:.1?}, not ready after {turned:.1?}; open: flow after {flows:.1?}, ready after {ready:.1?}, registry right after {:.1?}",
            open.elapsed()
        );
        traffic.await_acked(200).await;
    }
    probes.assert_stayed();
    for node in &cluster.nodes {
        assert_eq!(node.vitals().failures_of_liveness(started), 0, "liveness never turns");
    }
    let epoch = traffic.epoch();
    let finished = Traffic::finish_all(vec![traffic], &probes.clients()).await;
    let verdict = finished.judge(&cluster.stored(&epoch).await);
    verdict.assert_clean("black hole");
    assert_eq!(verdict.report.resumes, 0, "everybody stayed");
    assert_eq!(verdict.sent.unanswered, 0, "every event gets an answer");
    cluster.stop().await;
}
