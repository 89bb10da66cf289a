//! etcd is away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use game_realtime_contract::{ConnectionBuilder, EventBuilder, WallClock, at_least};
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};

use crate::support::{Member, config, node, options};

/// How long the node is watched.
const WATCHED: Duration = Duration::from_secs(4);
/// What a node may cost an etcd that is in trouble, in attempts a second.
const ATTEMPTS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_asks_an_etcd_in_trouble_only_a_few_times_a_second() {
    let mut etcd = Member::start(&[]).await;
    let config = config(&etcd.endpoint());
    let store = node(&config, options(), Arc::new(WallClock));
    let connections: Vec<_> =
        (0..50).map(|number| ConnectionBuilder::player(&format!("p{number}")).build()).collect();
    for connection in &connections {
        store.connections().save(connection).await.expect("registered");
    }
    etcd.kill();
    // Some end meanwhile and have to be cleaned up.
    for connection in &connections[..10] {
        store.connections().delete(connection).await.expect_err("etcd is away");
    }

    // In etcd's place: somebody who takes connections and closes them at once.
    let address = etcd.endpoint().replace("http://", "");
    let listener = TcpListener::bind(&address).await.expect("etcd has left its port");
    let attempts = AtomicUsize::new(0);
    let count = async {
        loop {
            drop(listener.accept().await.expect("a connection"));
            attempts.fetch_add(1, Ordering::Relaxed);
        }
    };
    assert!(timeout(WATCHED, count).await.is_err());
    let attempts = attempts.into_inner();
    println!("{attempts} attempts in {WATCHED:?}");
    assert!(attempts > 0, "the node keeps trying");
    assert!(attempts <= ATTEMPTS * 4, "{attempts} attempts in {WATCHED:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_answered_in_time_while_etcd_is_away_and_closing_does_not_wait_for_it() {
    // Takes connections and never says a word.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let config = config(&format!("http://{address}"));
    let limit = config.request_timeout + Duration::from_secs(1);
    let store = node(&config, options(), Arc::new(WallClock));
    let alice = ConnectionBuilder::player("alice").build();
    let started = Instant::now();
    let (events, connections, feed) = (store.events(), store.connections(), store.feed());
    let failed = tokio::join!(
        async { events.append(EventBuilder::from(&alice).broadcast("hi")).await.is_err() },
        async { connections.save(&alice).await.is_err() },
        async { connections.delete(&alice).await.is_err() },
        async { connections.get(alice.id).await.is_err() },
        async { feed.recent(at_least(Duration::from_secs(1), 1)).await.is_err() },
        async { store.health().check().await.is_err() },
    );
    assert_eq!(failed, (true, true, true, true, true, true));
    println!("all answered after {:?}", started.elapsed());
    assert!(started.elapsed() < limit, "{:?}", started.elapsed());
    let closing = Instant::now();
    store.close().await;
    println!("closed after {:?}", closing.elapsed());
    assert!(closing.elapsed() < 2 * limit);
}
