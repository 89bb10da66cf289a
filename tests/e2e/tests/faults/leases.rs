//! Leases that are revoked behind a node's back.

use std::time::Duration;

use game_realtime_e2e::{Cluster, ClusterOptions, Traffic, TrafficOptions};
use tokio::time::Instant;

use crate::{
    probes::Probes,
    turn::{short_or_long, turn},
};

/// How soon everything is registered again.
const REGISTRY_LIMIT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hung_on_revoked_leases_is_registered_again() {
    let _turn = turn().await;
    let cluster = Cluster::start(ClusterOptions::default()).await;
    let traffic = Traffic::start(&[cluster.front.url()], TrafficOptions::default()).await;
    let probes = Probes::connect(&cluster, &traffic).await;
    let everybody: Vec<_> = traffic.clients().into_iter().chain(probes.clients()).collect();
    for _ in 0..short_or_long(1, 5) {
        traffic.await_acked(100).await;
        cluster.await_registry(&everybody, REGISTRY_LIMIT).await;
        let connections = format!("{}/connections/", Cluster::PREFIX);
        let revoked = cluster.serving_etcd().revoke_leases(&connections).await;
        assert!(revoked >= cluster.nodes.len(), "each node has one at least");
        let since = Instant::now();
        let registered = cluster.await_registry(&everybody, REGISTRY_LIMIT).await;
        let flows = probes.await_flow(since, REGISTRY_LIMIT).await;
        eprintln!(
            "{revoked} leases revoked: registered after {registered:.1?}, flow after {flows:.1?}"
        );
        traffic.await_acked(100).await;
    }
    probes.assert_stayed();
    let epoch = traffic.epoch();
    let finished = Traffic::finish_all(vec![traffic], &probes.clients()).await;
    let verdict = finished.judge(&cluster.stored(&epoch).await);
    verdict.assert_clean("leases revoked");
    assert_eq!(verdict.report.resumes, 0, "everybody stayed");
    cluster.stop().await;
}
