//! Old events go, and nobody is told that the log is complete when it is not.

use std::{sync::Arc, time::Duration};

use etcd_client::CompactionOptions;
use futures_util::{StreamExt, stream};
use game_realtime_application::ports::{EventFeed, EventRepository, FollowError};
use game_realtime_contract::{ConnectionBuilder, EventBuilder, Follower, ManualClock, at_least};
use game_realtime_domain::{EventType, Timestamp};

use crate::support::{
    Member, Raw, Recorder, at_least_kept, config, node, options, shared_etcd, until,
};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const PRUNED: &str = "game_realtime_pruned_events_total";

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(1_795_000_000_000)))
}

/// Appends events of all types.
async fn append(events: &dyn EventRepository, count: usize) {
    let alice = ConnectionBuilder::player("alice").build();
    stream::iter(0..count)
        .map(|number| {
            let event = EventBuilder::from(&alice);
            events.append(match number % 3 {
                0 => event.broadcast("hi"),
                1 => event.message("bob", "hi"),
                _ => event.purchase("sword", 1),
            })
        })
        .buffer_unordered(200)
        .for_each(|appended| async move {
            appended.expect("the event is appended");
        })
        .await;
}

#[tokio::test]
async fn nodes_that_prune_at_the_same_time_remove_what_is_old_and_nothing_else() {
    let recorder = Recorder::default();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let etcd = shared_etcd().await;
    let config = config(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let clock = clock();
    let options = || at_least_kept(50);
    let store = node(&config, options(), Arc::clone(&clock) as _);
    append(&*store.events(), 5000).await;
    clock.advance(25 * HOUR);
    append(&*store.events(), 100).await;
    let feed = store.feed();
    let history = feed.recent(at_least(HOUR, 50)).await.expect("the feed is read");
    let mut follower = Follower::open(&feed, &history.epoch, history.head).await;

    let nodes: Vec<_> = (0..3).map(|_| node(&config, options(), Arc::clone(&clock) as _)).collect();
    let took =
        until("the old events are gone", PATIENCE, || async { raw.count("events").await == 100 })
            .await;
    println!("5000 events pruned in {took:?}");
    until("all pruned events are counted", PATIENCE, || async { recorder.counter(PRUNED) == 5000 })
        .await;

    // Whoever follows hears of none of it.
    append(&*store.events(), 1).await;
    assert_eq!(follower.events(1).await.len(), 1);
    for event_type in EventType::ALL {
        let listed = store.events().list(event_type, 1000).await.expect("the log is listed").events;
        assert!(!listed.is_empty());
    }
    for node in nodes {
        node.close().await;
    }
}

#[tokio::test]
async fn the_newest_events_are_kept_however_old_they_are() {
    let etcd = shared_etcd().await;
    let config = config(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let clock = clock();
    let options = || at_least_kept(300);
    let store = node(&config, options(), Arc::clone(&clock) as _);
    for count in [400, 400, 200] {
        append(&*store.events(), count).await;
        clock.advance(HOUR);
    }
    clock.advance(100 * HOUR);
    let pruning = node(&config, options(), Arc::clone(&clock) as _);
    // The last 200, and those that 100 others were written with.
    until("the oldest are gone", PATIENCE, || async { raw.count("events").await == 600 }).await;
    let history = pruning.feed().recent(at_least(HOUR, 300)).await.expect("the feed is read");
    assert!(history.events.len() >= 300, "{}", history.events.len());
    pruning.close().await;
}

#[tokio::test]
async fn what_may_be_pruned_is_not_taken_for_complete() {
    // Alone, because it is compacted.
    let etcd = Member::start(&[]).await;
    let config = config(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let store = node(&config, options(), clock());
    append(&*store.events(), 10).await;
    let feed = store.feed();
    let whole = feed.recent(at_least(HOUR, 10)).await.expect("the feed is read");
    assert_eq!(whole.events.len(), 10);
    let (first, middle) = (whole.events[0].position, whole.events[4].position);

    // As a pruner on another node has it, before it deletes, or when it has in part.
    let marker = serde_json::to_vec(&middle).expect("a position is JSON");
    let key = format!("{}/pruned", config.prefix);
    raw.client.kv_client().put(key, marker, None).await.expect("put");
    let part = feed.recent(at_least(HOUR, 10)).await.expect("the feed is read");
    assert_eq!(part.floor, middle);
    assert_eq!(part.events, whole.events[5..]);
    let enough = feed.recent(at_least(Duration::ZERO, 1)).await.expect("the feed is read");
    assert!(enough.floor >= middle);

    // Once the history is compacted as well, only the log can tell what came after a position.
    append(&*store.events(), 1).await;
    let revision = {
        let response = raw.client.kv_client().get("any", None).await.expect("etcd answers");
        response.header().expect("a header").revision()
    };
    let options = CompactionOptions::new().with_physical();
    raw.client.kv_client().compact(revision, Some(options)).await.expect("etcd compacts");
    let fresh = node(&config, crate::support::options(), clock());
    let feed: Arc<dyn EventFeed> = fresh.feed();
    let lost = feed.follow(&whole.epoch, first).await.err();
    assert!(matches!(lost, Some(FollowError::Lost)), "{lost:?}");
    let mut follower = Follower::open(&feed, &whole.epoch, middle).await;
    assert_eq!(follower.events(6).await.len(), 6);
}
