//! What a node has registered outlives its leases.

use std::{
    env,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use game_realtime_application::ports::ConnectionRepository;
use game_realtime_contract::{ConnectionBuilder, WallClock};
use game_realtime_domain::{Connection, Namespace};
use tokio::time::Instant;

use crate::support::{Member, Raw, config, node, options, shared_etcd, until};

const CONNECTIONS: usize = 700;
/// How soon a lost lease has to be made good.
const RECOVERY: Duration = Duration::from_secs(3);

async fn connect(connections: &dyn ConnectionRepository, count: usize) -> Vec<Connection> {
    let all: Vec<_> =
        (0..count).map(|number| ConnectionBuilder::player(&format!("p{number}")).build()).collect();
    for saved in join_all(all.iter().map(|connection| connections.save(connection))).await {
        saved.expect("the connection is registered");
    }
    all
}

/// Whether every player's connection is there, once, and once below the player.
async fn all_are_registered(raw: &Raw, count: usize) -> bool {
    raw.count("connections").await == count && raw.count("users").await == count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_on_revoked_leases_are_registered_again_within_three_seconds() {
    let etcd = shared_etcd().await;
    let config = config(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let store = node(&config, options(), Arc::new(WallClock));
    connect(&*store.connections(), CONNECTIONS).await;
    let revoked = raw.leases().await;
    // Half a thousand on each, however many connect at once.
    assert_eq!(revoked.len(), 2, "{revoked:?}");

    let started = Instant::now();
    for lease in &revoked {
        raw.revoke(*lease).await;
    }
    assert_eq!(raw.count("connections").await, 0);
    until("all are registered again", RECOVERY, || all_are_registered(&raw, CONNECTIONS)).await;
    println!("{CONNECTIONS} connections registered again after {:?}", started.elapsed());
    assert!(started.elapsed() < RECOVERY);
    assert!(raw.leases().await.is_disjoint(&revoked));
    assert_eq!(raw.leases().await.len(), 2);
    let listed = store.connections().list_by_namespace(Namespace::Private, None, 1000).await;
    assert_eq!(listed.expect("the registry is listed").len(), CONNECTIONS);
    store.close().await;
    assert_eq!(raw.count("connections").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_of_etcd_and_its_leases_everything_is_registered_again() {
    let mut etcd = Member::start(&[]).await;
    let config = config(&etcd.endpoint());
    let store = node(&config, options(), Arc::new(WallClock));
    let connected = connect(&*store.connections(), CONNECTIONS).await;
    let leases = Raw::new(&etcd.endpoint(), &config.prefix).await.leases().await;

    etcd.kill();
    let (gone, staying) = connected.split_at(100);
    // Fails, because etcd is away; the store has to see to it that they go.
    let ended =
        join_all(gone.iter().map(|it| async { store.connections().delete(it).await })).await;
    assert!(ended.iter().all(Result::is_err));
    etcd.start_again().await;
    let back = Instant::now();
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    // etcd keeps leases over its restart: take them too, as if it had been away for longer.
    for lease in &leases {
        raw.revoke(*lease).await;
    }
    until("the registry is right", RECOVERY, || all_are_registered(&raw, staying.len())).await;
    until("the node is ready", RECOVERY, || async { store.health().check().await.is_ok() }).await;
    println!("registry right {:?} after etcd's return", back.elapsed());
    store.close().await;
}

const NODE_CONNECTIONS: usize = 20;

/// Not a test: the node of the next one, in a process that can be stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the next test"]
async fn paused_node() {
    let (Ok(endpoint), Ok(prefix)) = (env::var("NODE_ENDPOINT"), env::var("NODE_PREFIX")) else {
        return;
    };
    let mut config = config(&endpoint);
    config.prefix = prefix;
    config.lease_ttl = Duration::from_secs(2);
    let store = node(&config, options(), Arc::new(WallClock));
    connect(&*store.connections(), NODE_CONNECTIONS).await;
    // Until the test is over and closes the pipe.
    tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()))
        .await
        .expect("reading does not panic")
        .expect("the pipe is read");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_paused_beyond_its_leases_comes_back_as_itself() {
    let etcd = shared_etcd().await;
    let config = config(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let mut process = Command::new(env::current_exe().expect("the test binary"))
        .args(["--exact", "leases::paused_node", "--ignored"])
        .env("NODE_ENDPOINT", etcd.endpoint())
        .env("NODE_PREFIX", &config.prefix)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the node starts");
    let signal = |name: &str| {
        let id = process.id().to_string();
        let status = Command::new("kill").args([name, &id]).status().expect("kill runs");
        assert!(status.success());
    };
    let patience = Duration::from_secs(20);
    until("the node is registered", patience, || all_are_registered(&raw, NODE_CONNECTIONS)).await;
    let ids = || async {
        let pairs = raw.pairs("connections").await;
        pairs.iter().map(|pair| (pair.key().to_vec(), pair.value().to_vec())).collect::<Vec<_>>()
    };
    let before = ids().await;
    signal("-STOP");
    until("the node is forgotten", patience, || all_are_registered(&raw, 0)).await;
    signal("-CONT");
    let took =
        until("the node is back", RECOVERY, || all_are_registered(&raw, NODE_CONNECTIONS)).await;
    println!("{NODE_CONNECTIONS} connections back {took:?} after the pause");
    assert_eq!(ids().await, before);
    drop(process.stdin.take());
    assert!(process.wait().expect("the node ends").success());
    assert!(all_are_registered(&raw, 0).await);
}
