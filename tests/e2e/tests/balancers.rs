//! The load balancers that we ship configurations for: nginx and haproxy before three nodes, with
//! stock clients over TLS and without; and a rolling restart that nobody notices.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests may fail")]

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{
    Balancer, Balancing, Client, Cluster, ClusterOptions, ConnectOptions, Driver, Library, Traffic,
    TrafficOptions, event, mint, shape,
};
use serde_json::json;
use tokio::time::{Instant, sleep};

/// Broadcasts of each client: enough that polling clients ask for more many times.
const ROUNDS: usize = 5;
/// How long everybody may take to be back after a node went.
const BACK: Duration = Duration::from_secs(10);
/// How long haproxy may take to see that a node is back: two checks.
const SEEN_READY: Duration = Duration::from_secs(2);

const LIBRARIES: [Library; 3] = [Library::JavaScript4, Library::JavaScript2, Library::Python];
/// The library's default, polling alone, WebSocket alone.
const TRANSPORTS: [&[&str]; 3] = [&[], &["polling"], &["websocket"]];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_clients_work_behind_haproxy() {
    let cluster = Cluster::start(ClusterOptions::default()).await;
    let balancing = Balancing::start(Balancer::Haproxy, &cluster).await;
    play_with_all(&balancing).await;
    // All came from one address.
    assert_eq!(nodes_in_use(&cluster).await, 3);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_clients_work_behind_nginx() {
    let cluster = Cluster::start(ClusterOptions::default()).await;
    let balancing = Balancing::start(Balancer::Nginx, &cluster).await;
    play_with_all(&balancing).await;
    // By address for those who poll, by load for the others.
    assert_eq!(nodes_in_use(&cluster).await, 3);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_behind_haproxy_loses_nothing_and_everybody_is_back_by_themselves() {
    let mut cluster = Cluster::start(ClusterOptions::default()).await;
    let balancing = Balancing::start(Balancer::Haproxy, &cluster).await;
    let options = TrafficOptions { transports: &TRANSPORTS, ..TrafficOptions::default() };
    let traffic = Traffic::start(&[balancing.url()], options).await;
    traffic.await_flow().await;
    for number in 0..cluster.nodes.len() {
        let started = Instant::now();
        cluster.node(number).terminate().await;
        let ended = started.elapsed();
        let back = traffic.await_flow().await;
        assert!(back < BACK, "everybody is back after {back:?}");
        cluster.node(number).restart().await;
        eprintln!("node {number}: ended after {ended:.1?}, everybody back after {back:.1?}");
        sleep(SEEN_READY).await;
    }
    for client in traffic.clients() {
        let disconnects = client.count_lifecycle("disconnect");
        assert!(disconnects <= 4, "{} was cut off {disconnects} times", client.name());
    }
    let epoch = traffic.epoch();
    let finished = traffic.finish().await;
    let verdict = finished.judge(&cluster.stored(&epoch).await);
    verdict.assert_clean("rolling restart");
    assert!(verdict.report.resumes >= 13, "everybody was on a node that went");
    cluster.stop().await;
}

/// Every library, over TLS and plain, with every choice of transports, at once.
async fn play_with_all(balancing: &Balancing) {
    let certificate = balancing.certificate();
    let drivers = LIBRARIES.map(|library| Driver::start_trusting(library, &certificate));
    let mut playing = Vec::new();
    for (driver, library) in drivers.iter().zip(LIBRARIES) {
        for url in [balancing.url(), balancing.tls_url()] {
            for transports in TRANSPORTS {
                let number = playing.len();
                let user = format!("player-{number}");
                let mut options = ConnectOptions::player(&url, &mint(&user))
                    // Only the JavaScript driver looks at it. All of loopback is ours.
                    .with("localAddress", format!("127.0.1.{}", number + 1));
                if !transports.is_empty() {
                    options = options.over(transports);
                }
                playing.push(play(driver, library, options, transports));
            }
        }
    }
    // They stay until all are done.
    drop(join_all(playing).await);
}

async fn play(
    driver: &Driver,
    library: Library,
    options: ConnectOptions,
    transports: &[&str],
) -> Client {
    let what = format!("{library:?} {options:?}");
    let client = driver.connect(&options).await;
    let client = client.unwrap_or_else(|refused| panic!("{what}: {refused:?}"));
    if transports.is_empty() {
        client.wait_upgrade().await;
    }
    let expected = if transports == ["polling"] { "polling" } else { "websocket" };
    assert_eq!(client.transport().await, expected, "{what}");
    for round in 0..ROUNDS {
        let ack = client.emit(event::BROADCAST, json!({"message": round.to_string()})).await;
        let id = shape::assert_committed(&ack, event::BROADCAST, false);
        client.await_event(|event| event.payload()["id"] == id).await;
    }
    assert_eq!(client.count_lifecycle("disconnect"), 0, "{what}");
    client
}

/// How many nodes have let a client in.
async fn nodes_in_use(cluster: &Cluster) -> usize {
    let mut in_use = 0;
    for node in &cluster.nodes {
        let metrics = game_realtime_e2e::get(node.settings().admin_port(), "/metrics").await;
        let accepted = metrics.unwrap().body.lines().any(|line| {
            line.starts_with("game_realtime_connects_total{")
                && line.contains("outcome=\"accepted\"")
                && !line.ends_with(" 0")
        });
        in_use += usize::from(accepted);
    }
    in_use
}
