//! Records that this release cannot read, as a newer one or a mistake leaves them.

use std::{sync::Arc, time::Duration};

use game_realtime_contract::{ConnectionBuilder, EVERYTHING, EventBuilder, Follower, WallClock};
use game_realtime_domain::EventType;

use crate::support::{Errors, Raw, Recorder, config, node, options, shared_etcd, until};

const SKIPPED: &str = "game_realtime_feed_unreadable_total";

#[tokio::test]
async fn what_cannot_be_read_is_counted_told_and_passed_over() {
    let recorder = Recorder::default();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let errors = Errors::default();
    let _subscribed = tracing::subscriber::set_default(errors.clone());
    let etcd = shared_etcd().await;
    let config = config(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let store = node(&config, options(), Arc::new(WallClock));
    let alice = ConnectionBuilder::player("alice").build();
    let first = store.events().append(EventBuilder::from(&alice).broadcast("1")).await.unwrap();
    let history = store.feed().recent(EVERYTHING).await.unwrap();
    let mut follower = Follower::open(&store.feed(), &history.epoch, history.head).await;

    let id = "00000000000000000000000000000009";
    for (key, value) in [
        (format!("log/dance/ffffffffff00ffd/private/{id}"), "{}"),
        (format!("log/broadcast/ffffffffff00ffe/private/{id}"), "no JSON"),
        (format!("log/broadcast/ffffffffff00ffd/private/{id}"), r#"{"sender":[7,7],"payload":1}"#),
        (format!("log/broadcast/ffffffffff00ffc/private/planet:7/{id}"), "{}"),
        ("log/broadcast/nonsense".to_owned(), "{}"),
        ("log/segments/state/nonsense".to_owned(), "{}"),
        ("log/segments/poems/000000000001".to_owned(), "{}"),
        ("log/".to_owned(), "{}"),
    ] {
        let key = format!("{}/{key}", config.prefix);
        raw.client.kv_client().put(key, value, None).await.unwrap();
    }
    let head = raw.client.kv_client().get("any", None).await.unwrap().header().unwrap().revision();
    let head = u64::try_from(head).unwrap();
    // The head of the feed moves past them...
    while follower.head().revision < head {
        assert_eq!(follower.update().await.events, []);
    }
    assert!(recorder.counter(SKIPPED) >= 6, "{}", recorder.counter(SKIPPED));
    assert!(!errors.lines().is_empty());
    // ...and so does that of a node that starts; where one node comes to, another can go on.
    let late = node(&config, options(), Arc::new(WallClock));
    let again = late.feed().recent(EVERYTHING).await.unwrap();
    assert_eq!(again.events, history.events);
    let mut elsewhere = Follower::open(&late.feed(), &again.epoch, follower.head()).await;
    let second = store.events().append(EventBuilder::from(&alice).broadcast("2")).await.unwrap();
    for follower in [&mut follower, &mut elsewhere] {
        assert_eq!(follower.events(1).await[0].event.id, second.event_id);
    }
    let listed = late.events().list(EventType::Broadcast, 10).await.unwrap().events;
    let listed: Vec<_> = listed.iter().map(|event| event.event.id).collect();
    assert_eq!(listed, [second.event_id, first.event_id]);
    late.close().await;
    store.close().await;
}

#[tokio::test]
async fn a_store_of_a_newer_format_is_worked_on_if_it_may_be() {
    let etcd = shared_etcd().await;
    let config = config(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let start = || node(&config, options(), Arc::new(WallClock));
    let alice = ConnectionBuilder::player("alice").build();
    let append = || EventBuilder::from(&alice).broadcast("hi");
    let store = start();
    store.events().append(append()).await.unwrap();
    let key = format!("{}/store", config.prefix);
    let record = raw.client.kv_client().get(key.as_str(), None).await.unwrap();
    let record = record.kvs()[0].value_str().unwrap().to_owned();
    let newer = |oldest: u32| {
        let newer = record.replace(r#""format":2"#, r#""format":9,"of_format_9":true"#);
        newer.replace(r#""oldest_format":2"#, &format!(r#""oldest_format":{oldest}"#))
    };
    raw.client.kv_client().put(key.as_str(), newer(2), None).await.unwrap();
    let tolerated = start();
    tolerated.events().append(append()).await.unwrap();
    assert_eq!(tolerated.feed().recent(EVERYTHING).await.unwrap().events.len(), 2);

    raw.client.kv_client().put(key.as_str(), newer(3), None).await.unwrap();
    let refused = start();
    refused.events().append(append()).await.unwrap_err();
    let error = refused.health().check().await.unwrap_err();
    assert!(error.source.to_string().contains("update this node"), "{}", error.source);
    assert_eq!(raw.events().await, 2);
    for node in [store, tolerated, refused] {
        node.close().await;
    }
}

#[tokio::test]
async fn a_history_that_is_begun_anew_has_nothing_of_the_one_before() {
    let etcd = shared_etcd().await;
    let config = config(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let start = || node(&config, options(), Arc::new(WallClock));
    let alice = ConnectionBuilder::player("alice").build();
    let append = || EventBuilder::from(&alice).broadcast("hi");
    let store = start();
    let first = store.events().append(append()).await.unwrap();
    store.close().await;
    // As an operator does after a restore. The segment is one of many, whose oldest are gone.
    for class in ["state", "purchases"] {
        let key = |number| format!("{}/log/segments/{class}/{number:012}", config.prefix);
        let record = raw.client.kv_client().get(key(1), None).await.unwrap();
        let record = record.kvs()[0].value().to_vec();
        raw.client.kv_client().delete(key(1), None).await.unwrap();
        raw.client.kv_client().put(key(70), record, None).await.unwrap();
    }
    raw.client.kv_client().delete(format!("{}/store", config.prefix), None).await.unwrap();
    let store = start();
    let second = store.events().append(append()).await.unwrap();
    assert_ne!(second.cursor.epoch, first.cursor.epoch);
    let history = store.feed().recent(EVERYTHING).await.unwrap();
    let ids: Vec<_> = history.events.iter().map(|event| event.event.id).collect();
    assert_eq!(ids, [second.event_id]);
    store.close().await;
}

#[tokio::test]
async fn events_of_the_format_before_are_removed_and_its_receipts_honoured() {
    let etcd = shared_etcd().await;
    let config = config(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let put = async |key: &str, value: &str| {
        let key = format!("{}/{key}", config.prefix);
        raw.client.kv_client().put(key, value, None).await.unwrap();
    };
    put("epoch", "0123456789abcdef").await;
    for number in 0..1200 {
        let place = format!("events/broadcast/fe5e11a9a184{number:08x}fffe/private/everybody");
        put(&place, r#"{"id":"00000000-0000-0000-0000-000000000003"}"#).await;
    }
    let store = node(&config, options(), Arc::new(WallClock));
    until("they are gone", Duration::from_secs(30), || async { raw.count("events").await == 0 })
        .await;
    let history = store.feed().recent(EVERYTHING).await.unwrap();
    assert_ne!(history.epoch.as_str(), "0123456789abcdef", "its cursors are a gap");
    store.close().await;
}
