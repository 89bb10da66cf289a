//! etcd has used up its space quota.

use std::{sync::Arc, time::Duration};

use bytesize::ByteSize;
use game_realtime_application::ports::{AppendError, StoreErrorKind};
use game_realtime_contract::{ConnectionBuilder, EventBuilder, ManualClock, WallClock, at_least};
use game_realtime_domain::{EventType, Timestamp};
use game_realtime_etcd_adapter::Config;

use crate::support::{
    Errors, Following, Member, Raw, Recorder, at_least_kept, config, node, options, until,
};

const QUOTA: &str = "--quota-backend-bytes=8388608";
const GAUGE: &str = "game_realtime_store_nospace";
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn without_room_events_are_refused_pruning_works_and_the_node_recovers() {
    let recorder = Recorder::default();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let errors = Errors::default();
    let _subscribed = tracing::subscriber::set_default(errors.clone());
    let etcd = Member::start(&[QUOTA]).await;
    // Twice the quota: nobody has told the gateway.
    let config = Config { space_budget: ByteSize::mib(16), ..config(&etcd.endpoint()) };
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_795_000_000_000)));
    let options = || at_least_kept(5);
    let store = node(&config, options(), Arc::clone(&clock) as _);
    let _following = Following::start(&store).await;
    let alice = ConnectionBuilder::player("alice").build();
    let gone = ConnectionBuilder::player("gone").build();
    for connection in [&alice, &gone] {
        store.connections().save(connection).await.expect("registered");
    }
    let text = "x".repeat(30_000);
    let events = store.events();
    let append = || events.append(EventBuilder::from(&alice).broadcast(&text));

    let refused = loop {
        if let Err(refused) = append().await {
            break refused;
        }
    };
    let before = raw.events().await;
    let AppendError::Store(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused.kind, StoreErrorKind::Unavailable);
    assert!(raw.has_alarm().await);
    assert!((recorder.gauge(GAUGE) - 1.0).abs() < f64::EPSILON);
    assert!(store.health().check().await.is_err());
    for _ in 0..20 {
        append().await.expect_err("there is no room");
    }
    let lines = errors.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("etcdctl alarm disarm"), "{lines:?}");
    // What was there can be read, and who leaves is gone.
    assert!(
        !store.events().list(EventType::Broadcast, 5).await.expect("reads work").events.is_empty()
    );
    store.feed().recent(at_least(Duration::from_secs(600), 5)).await.expect("the feed is read");
    store.connections().delete(&gone).await.ok();
    until("who left is gone", PATIENCE, || async { raw.count("connections").await == 1 }).await;

    // The node has learned how much etcd takes, and lets go of the oldest events although it cannot
    // write.
    until("events are pruned", PATIENCE, || async { raw.events().await < before - 20 }).await;
    let newest = store.events().list(EventType::Broadcast, 1).await.expect("reads work").events;
    assert_eq!(newest.len(), 1);
    assert!(raw.has_alarm().await);

    raw.make_room().await;
    let took = until("events are taken again", PATIENCE, || async { append().await.is_ok() }).await;
    println!("events are taken {took:?} after room was made");
    // Noticed by the node itself, before anybody asks.
    until("the gauge is down", PATIENCE, || async { recorder.gauge(GAUGE).abs() < f64::EPSILON })
        .await;
    until("the node is ready", PATIENCE, || async { store.health().check().await.is_ok() }).await;
    store.close().await;
}

#[tokio::test]
async fn the_gauge_says_that_there_is_room_from_the_start() {
    let recorder = Recorder::default();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let _store = node(&config("http://127.0.0.1:1"), options(), Arc::new(WallClock));
    assert!(recorder.has(GAUGE));
    assert!(recorder.gauge(GAUGE).abs() < f64::EPSILON);
}
