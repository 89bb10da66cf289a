//! Nodes that die, or stand still for a while.

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{
    Client, Cluster, ClusterOptions, ConnectOptions, Traffic, TrafficOptions, event, mint,
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    probes::Probes,
    turn::{short_or_long, turn, within},
};

/// How long after the lease's end the registry may still be wrong.
const REGISTRY_SLACK: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_killed_node_go_on_elsewhere_and_its_ghosts_are_gone_with_the_lease() {
    let _turn = turn().await;
    let mut cluster = Cluster::start(ClusterOptions::default()).await;
    let traffic = Traffic::start(&[cluster.front.url()], TrafficOptions::default()).await;
    for round in 0..short_or_long(1, 3) {
        let victim = round % cluster.nodes.len();
        let ghost = ConnectOptions::player(&cluster.node(victim).url(), &mint("ghost"));
        let ghost = traffic.driver().connect(&ghost.over(&["websocket"])).await.unwrap();
        let witness = cluster.node((victim + 1) % 3).url();
        let witness = ConnectOptions::player(&witness, &mint("witness")).over(&["websocket"]);
        let witness = traffic.driver().connect(&witness).await.unwrap();
        assert_eq!(connections_of(&witness, "ghost").await, 1);

        traffic.await_flow().await;
        let killed = Instant::now();
        cluster.node(victim).kill();
        ghost.await_lifecycle("disconnect").await;
        let back = traffic.await_flow().await;
        while connections_of(&witness, "ghost").await > 0 {
            let limit = Cluster::LEASE_TTL + REGISTRY_SLACK;
            assert!(killed.elapsed() < limit, "a ghost after {:?}", killed.elapsed());
            sleep(POLL_INTERVAL).await;
        }
        let gone = killed.elapsed();
        let mut everybody = traffic.clients();
        everybody.push(&witness);
        let left = (Cluster::LEASE_TTL + REGISTRY_SLACK).saturating_sub(killed.elapsed());
        cluster.await_registry(&everybody, left.max(Duration::from_secs(1))).await;
        let right = killed.elapsed();
        eprintln!(
            "killed: flow to all after {back:.1?}, ghost gone after {gone:.1?}, registry right after {right:.1?}"
        );
        cluster.node(victim).restart().await;
        witness.disconnect().await;
        ghost.disconnect().await;
    }
    let epoch = traffic.epoch();
    let finished = traffic.finish().await;
    let verdict = finished.judge(&cluster.stored(&epoch).await);
    verdict.assert_clean("killed node");
    assert!(verdict.report.resumes > 0, "somebody was on the node");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_still_beyond_its_lease_comes_back_as_itself() {
    let _turn = turn().await;
    let mut cluster = Cluster::start(ClusterOptions::default()).await;
    let urls: Vec<_> = cluster.nodes.iter().map(game_realtime_e2e::Node::url).collect();
    let traffic = Traffic::start(&urls, TrafficOptions::default()).await;
    let probes = Probes::connect(&cluster, &traffic).await;
    for _ in 0..short_or_long(1, 3) {
        cluster.await_registry(&everybody(&traffic, &probes), Duration::from_secs(3)).await;
        cluster.node(0).server().freeze();
        // Long enough for etcd to forget the node.
        let frozen = Instant::now();
        while cluster.first_etcd().read(&format!("{}/connections/", Cluster::PREFIX)).await.len()
            == everybody(&traffic, &probes).len()
        {
            assert!(frozen.elapsed() < Duration::from_secs(15), "the lease ends");
            sleep(POLL_INTERVAL).await;
        }
        cluster.node(0).server().thaw();
        let thawed = Instant::now();
        let registered =
            cluster.await_registry(&everybody(&traffic, &probes), Duration::from_secs(3)).await;
        let flows = probes.await_flow(thawed, Duration::from_secs(5)).await;
        let vitals = cluster.node(0).vitals().clone();
        let ready = within(Duration::from_secs(5), "ready", || vitals.is_ready()).await;
        eprintln!(
            "stood still {:.1?}: registered after {registered:.1?}, flow after {flows:.1?}, ready after {ready:.1?}",
            thawed - frozen
        );
    }
    probes.assert_stayed();
    let epoch = traffic.epoch();
    let finished = Traffic::finish_all(vec![traffic], &probes.clients()).await;
    let verdict = finished.judge(&cluster.stored(&epoch).await);
    verdict.assert_clean("node that stood still");
    assert_eq!(verdict.report.resumes, 0, "everybody stayed");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_come_back_at_once_under_load() {
    let _turn = turn().await;
    let cluster = Cluster::start(ClusterOptions::default()).await;
    let traffic = Traffic::start(&[cluster.front.url()], TrafficOptions::default()).await;
    let crowd = TrafficOptions {
        name: "crowd",
        users: 10,
        guests: 80,
        pace: Duration::from_secs(3),
        padding: 0,
        ..TrafficOptions::default()
    };
    let crowd = Traffic::start(&[cluster.front.url()], crowd).await;
    crowd.await_flow().await;
    for _ in 0..short_or_long(1, 5) {
        let readies = |client: &Client| client.count_events(event::READY);
        let before: usize = crowd.clients().into_iter().map(readies).sum();
        let cut = Instant::now();
        join_all(crowd.clients().into_iter().map(Client::close_transport)).await;
        let all_back = || crowd.clients().into_iter().map(readies).sum::<usize>() >= before + 100;
        within(Duration::from_secs(10), "everybody is back", all_back).await;
        eprintln!("hundred clients: back after {:.1?}", cut.elapsed());
        traffic.await_acked(300).await;
    }
    let epoch = traffic.epoch();
    let finished = Traffic::finish_all(vec![traffic, crowd], &[]).await;
    let verdict = finished.judge(&cluster.stored(&epoch).await);
    verdict.assert_clean("hundred clients");
    assert!(verdict.report.resumes >= 100);
    cluster.stop().await;
}

fn everybody<'a>(traffic: &'a Traffic, probes: &'a Probes) -> Vec<&'a Client> {
    traffic.clients().into_iter().chain(probes.clients()).collect()
}

/// What an acknowledgement says of a user's presence.
async fn connections_of(witness: &Client, user: &str) -> u64 {
    let payload = json!({"target_user_id": user, "text": "are you there?"});
    let ack = witness.emit(event::SEND_MESSAGE, payload).await;
    ack["recipient"]["connections"].as_u64().unwrap_or_else(|| panic!("{ack}"))
}
