//! Old events go, and nobody is told that the log is complete when it is not.

use std::{sync::Arc, time::Duration};

use bytesize::ByteSize;
use futures_util::{StreamExt, stream};
use game_realtime_application::ports::{EventFeed, EventRepository, FollowError};
use game_realtime_contract::{
    ConnectionBuilder, EVERYTHING, EventBuilder, Follower, ManualClock, at_least,
};
use game_realtime_domain::{EventType, Position, Timestamp};
use game_realtime_etcd_adapter::Config;
use tokio::time::sleep;

use crate::support::{
    Following, Member, Raw, Recorder, at_least_kept, config, node, options, until,
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

/// Small enough that some hundred events make a segment of the log.
fn small_segments(endpoint: &str) -> Config {
    Config { space_budget: ByteSize::mib(8), ..config(endpoint) }
}

/// Lets time pass until a node has ended the segment with the last events and those after it, and ends
/// no more.
async fn let_segments_end(raw: &Raw, clock: &ManualClock) {
    let (mut segments, mut quiet) = (0, 0);
    while quiet < 12 {
        clock.advance(Duration::from_secs(61));
        sleep(Duration::from_millis(250)).await;
        let now = raw.count("log/segments/state").await;
        quiet = if segments == now { quiet + 1 } else { 0 };
        segments = now;
    }
}

#[tokio::test]
async fn nodes_at_the_same_time_prune_what_is_old_and_nothing_else() {
    let recorder = Recorder::default();
    let _installed = metrics::set_default_local_recorder(&recorder);
    // Alone: what others keep would be over the budget.
    let etcd = Member::start(&[]).await;
    let config = small_segments(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let clock = clock();
    let options = || at_least_kept(50);
    let store = node(&config, options(), Arc::clone(&clock) as _);
    let _following = Following::start(&store).await;
    append(&*store.events(), 5000).await;
    let_segments_end(&raw, &clock).await;
    store.close().await;
    clock.advance(24 * HOUR);

    let nodes: Vec<_> = (0..3).map(|_| node(&config, options(), Arc::clone(&clock) as _)).collect();
    let young = &nodes[0];
    let mut following = Vec::new();
    for node in &nodes {
        following.push(Following::start(node).await);
    }
    append(&*young.events(), 100).await;
    let feed = young.feed();
    let history = feed.recent(at_least(HOUR, 50)).await.expect("the feed is read");
    let mut follower = Follower::open(&feed, &history.epoch, history.head).await;
    let took = until("the old events are gone", PATIENCE, || async { raw.events().await == 100 });
    println!("5000 events pruned in {:?}", took.await);
    until("all pruned events are counted", PATIENCE, || async { recorder.counter(PRUNED) == 5000 })
        .await;

    // Followers hear of none of it.
    append(&*young.events(), 1).await;
    assert_eq!(follower.events(1).await.len(), 1);
    for event_type in EventType::ALL {
        let listed = young.events().list(event_type, 1000).await.expect("the log is listed").events;
        assert!(!listed.is_empty());
    }
    for node in nodes {
        node.close().await;
    }
}

#[tokio::test]
async fn purchases_are_kept_longer_and_their_segments_do_not_pile_up() {
    // Alone: what others keep would be over the budget.
    let etcd = Member::start(&[]).await;
    let config = small_segments(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let clock = clock();
    let options = || {
        let mut options = at_least_kept(0);
        options.retention.purchases.events = 1000 * HOUR;
        options
    };
    let store = node(&config, options(), Arc::clone(&clock) as _);
    let _following = Following::start(&store).await;
    append(&*store.events(), 3000).await;
    let_segments_end(&raw, &clock).await;
    store.close().await;
    clock.advance(25 * HOUR);
    let store = node(&config, options(), Arc::clone(&clock) as _);
    until("only purchases are left", PATIENCE, || async { raw.events().await == 1000 }).await;
    let segments = async || raw.count("log/segments/purchases").await;
    until("their segments are joined", PATIENCE, || async { segments().await < 20 }).await;
    let feed = store.feed();
    let history = feed.recent(EVERYTHING).await.expect("the feed is read");
    assert!(history.events.is_empty(), "what is not complete is no history");
    let kept = store.events().list(EventType::BuyGood, 5000).await.expect("the log is listed");
    assert_eq!(kept.events.len(), 1000);
    store.close().await;
}

#[tokio::test]
async fn the_newest_events_are_kept_however_old_they_are() {
    // Alone: what others keep would be over the budget.
    let etcd = Member::start(&[]).await;
    let config = small_segments(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let clock = clock();
    let options = || at_least_kept(300);
    let store = node(&config, options(), Arc::clone(&clock) as _);
    let _following = Following::start(&store).await;
    for count in [400, 400, 200] {
        append(&*store.events(), count).await;
        let_segments_end(&raw, &clock).await;
    }
    store.close().await;
    clock.advance(100 * HOUR);
    let pruning = node(&config, options(), Arc::clone(&clock) as _);
    let _following = Following::start(&pruning).await;
    until("the oldest are gone", PATIENCE, || async { raw.events().await < 700 }).await;
    sleep(Duration::from_secs(3)).await;
    assert!(raw.events().await >= 300);
    let history = pruning.feed().recent(at_least(HOUR, 300)).await.expect("the feed is read");
    assert!(history.events.len() >= 300, "{}", history.events.len());
    pruning.close().await;
}

#[tokio::test]
async fn what_may_be_pruned_is_not_taken_for_complete() {
    let etcd = Member::start(&[]).await;
    let config = small_segments(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let store = node(&config, options(), clock());
    let feed = store.feed();
    // So that the node sees what it writes.
    let empty = feed.recent(EVERYTHING).await.expect("the feed is read");
    let mut watching = Follower::open(&feed, &empty.epoch, empty.head).await;
    for _ in 0..3 {
        append(&*store.events(), 350).await;
        watching.events(350).await;
    }
    append(&*store.events(), 10).await;
    let whole = feed.recent(EVERYTHING).await.expect("the feed is read");
    assert_eq!(whole.events.len(), 1060);
    let (first, last) = (whole.events[0].position, whole.events[1059].position);

    // As a housekeeper has it, before it deletes events, or when it has in part.
    let segments = raw.pairs("log/segments/state").await;
    assert!(segments.len() > 2, "{}", segments.len());
    raw.client.kv_client().delete(segments[0].key(), None).await.expect("deleted");
    let floor = u64::try_from(segments[1].create_revision()).expect("a revision");
    let floor = Position::new(floor, 0);
    let part = feed.recent(EVERYTHING).await.expect("the feed is read");
    assert_eq!(part.floor, floor);
    let rest: Vec<_> =
        whole.events.iter().filter(|event| event.position > floor).cloned().collect();
    assert!((1..1060).contains(&rest.len()));
    assert_eq!(part.events, rest);

    // Once the history is compacted as well, only the log can tell what came after a position.
    append(&*store.events(), 1).await;
    raw.compact().await;
    let fresh = node(&config, options(), clock());
    let feed: Arc<dyn EventFeed> = fresh.feed();
    let lost = feed.follow(&whole.epoch, first).await.err();
    assert!(matches!(lost, Some(FollowError::Lost)), "{lost:?}");
    let mut follower = Follower::open(&feed, &whole.epoch, floor).await;
    assert_eq!(follower.events(rest.len() + 1).await[..rest.len()], rest);
    let mut follower = Follower::open(&feed, &whole.epoch, last).await;
    assert_eq!(follower.events(1).await.len(), 1);
}
