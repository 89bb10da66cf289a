//! etcd forgets its history while a node is not looking.

use std::time::Duration;

use game_realtime_e2e::{Cluster, ClusterOptions, Flow, Node, Traffic, TrafficOptions};
use tokio::time::Instant;

use crate::{
    probes::Probes,
    turn::{short_or_long, turn},
};

const FLOW_LIMIT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_catches_up_although_the_history_it_missed_is_compacted() {
    let _turn = turn().await;
    let options = ClusterOptions { linked: true, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(options).await;
    let urls: Vec<_> = cluster.nodes.iter().map(Node::url).collect();
    let traffic = Traffic::start(&urls, TrafficOptions::default()).await;
    let probes = Probes::connect(&cluster, &traffic).await;
    for _ in 0..short_or_long(1, 3) {
        traffic.await_acked(150).await;
        // Or the node finds in its socket what etcd sent meanwhile.
        cluster.node(0).links().iter().for_each(|link| link.set(Flow::Stalled));
        cluster.node(0).server().freeze();
        traffic.await_acked(short_or_long(300, 1000)).await;
        cluster.serving_etcd().compact().await;
        for link in cluster.node(0).links() {
            link.cut();
            link.set(Flow::Open);
        }
        cluster.node(0).server().thaw();
        let flows = probes.await_flow(Instant::now(), FLOW_LIMIT).await;
        eprintln!("compacted: flow after {flows:.1?}");
        traffic.await_acked(150).await;
    }
    let log = cluster.node(0).server().log();
    assert!(log.contains("history is compacted"), "the node met the compaction");
    probes.assert_stayed();
    let epoch = traffic.epoch();
    let finished = Traffic::finish_all(vec![traffic], &probes.clients()).await;
    let verdict = finished.judge(&cluster.stored(&epoch).await);
    verdict.assert_clean("history compacted");
    assert_eq!(verdict.report.resumes, 0, "everybody stayed");
    cluster.stop().await;
}
