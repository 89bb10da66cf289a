//! What is forgotten, when, and that a follower never takes a hole for silence.
#![expect(clippy::unwrap_used, reason = "what is not expected is a failure")]

use bytesize::ByteSize;
use game_realtime_application::RetentionPolicy;
use std::{sync::Arc, time::Duration};

use game_realtime_application::{
    panics::Watchdog,
    ports::{Clock, EventFeed, EventRepository, FollowError},
};
use game_realtime_contract::{
    ConnectionBuilder, EVERYTHING, EventBuilder, Follower, ManualClock, WallClock, keeping,
};
use game_realtime_domain::{Connection, EventType, Position};
use game_realtime_embedded_adapter::{Config, EmbeddedStore};

const HOUR: Duration = Duration::from_secs(3600);

struct Fixture {
    _directory: tempfile::TempDir,
    path: String,
    options: RetentionPolicy,
    clock: Arc<ManualClock>,
    sender: Connection,
}

impl Fixture {
    fn new(options: RetentionPolicy) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.redb").to_str().unwrap().to_owned();
        let clock = Arc::new(ManualClock::new(WallClock.now()));
        let sender = ConnectionBuilder::player("alice").build();
        Self { _directory: directory, path, options, clock, sender }
    }

    fn open(&self) -> EmbeddedStore {
        let config = Config {
            path: self.path.clone(),
            space_budget: ByteSize::gib(1),
            request_timeout: Duration::from_secs(30),
        };
        EmbeddedStore::open(&config, self.options, self.clock.clone(), &Watchdog::new()).unwrap()
    }

    fn event(&self) -> EventBuilder {
        EventBuilder::from(&self.sender).created_at(self.clock.now())
    }

    async fn append(&self, store: &EmbeddedStore, count: usize) -> Vec<Position> {
        let mut positions = Vec::new();
        for _ in 0..count {
            let appended = store.event_repository().append(self.event().broadcast("hi")).await;
            positions.push(appended.unwrap().cursor.position);
        }
        positions
    }
}

/// Opening prunes first of all; waits until that has brought the log down to `count` events.
async fn wait_for_events(store: &EmbeddedStore, count: usize) {
    tokio::time::timeout(Duration::from_secs(30), async {
        while store.event_feed().recent(EVERYTHING).await.unwrap().events.len() != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn events_older_than_the_retention_are_forgotten_and_said_to_be_lost() {
    let fixture = Fixture::new(keeping(HOUR, 0, HOUR));
    let store = fixture.open();
    let old = fixture.append(&store, 10).await;
    let epoch = store.event_feed().recent(EVERYTHING).await.unwrap().epoch;
    fixture.clock.advance(HOUR + Duration::from_millis(1));
    let young = fixture.append(&store, 5).await;
    drop(store);
    let store = fixture.open();
    wait_for_events(&store, 5).await;

    let feed: Arc<dyn EventFeed> = Arc::new(store.event_feed());
    let history = feed.recent(EVERYTHING).await.unwrap();
    assert_eq!(history.epoch, epoch);
    assert_eq!(history.floor, old[9]);
    assert_eq!(
        store.event_repository().list(EventType::Broadcast, 100).await.unwrap().events.len(),
        5
    );
    for lost in [Position::START, old[0], old[8]] {
        let followed = feed.follow(&epoch, lost).await;
        assert!(matches!(followed.map(|_| ()), Err(FollowError::Lost)), "{lost}");
    }
    let mut follower = Follower::open(&feed, &epoch, old[9]).await;
    let followed = follower.events(5).await;
    assert_eq!(followed.iter().map(|event| event.position).collect::<Vec<_>>(), young);
}

#[tokio::test]
async fn positions_go_on_where_they_were_even_if_every_event_is_forgotten() {
    let fixture = Fixture::new(keeping(HOUR, 0, HOUR));
    let store = fixture.open();
    let old = fixture.append(&store, 3).await;
    fixture.clock.advance(2 * HOUR);
    drop(store);
    let store = fixture.open();
    wait_for_events(&store, 0).await;
    let history = store.event_feed().recent(EVERYTHING).await.unwrap();
    assert_eq!((history.floor, history.head), (old[2], old[2]));
    drop(store);
    let store = fixture.open();
    assert!(fixture.append(&store, 1).await[0] > old[2]);
}

#[tokio::test]
async fn the_newest_events_are_kept_however_old_they_are() {
    let fixture = Fixture::new(keeping(HOUR, 4, HOUR));
    let store = fixture.open();
    fixture.append(&store, 10).await;
    fixture.clock.advance(100 * HOUR);
    drop(store);
    wait_for_events(&fixture.open(), 4).await;
}

#[tokio::test]
async fn many_old_events_are_forgotten_step_by_step_while_new_ones_are_appended() {
    let fixture = Fixture::new(keeping(HOUR, 0, HOUR));
    let store = fixture.open();
    let events = store.event_repository();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..3500 {
        let (events, event) = (events.clone(), fixture.event().request(&number.to_string()));
        tasks.spawn(async move { events.append(event.broadcast("old")).await.unwrap() });
    }
    tasks.join_all().await;
    fixture.clock.advance(2 * HOUR);
    drop((store, events));
    let store = fixture.open();
    fixture.append(&store, 20).await;
    wait_for_events(&store, 20).await;
}

#[tokio::test]
async fn a_request_id_is_remembered_for_the_window_and_forgotten_after_it() {
    let fixture = Fixture::new(keeping(100 * HOUR, 0, 2 * HOUR));
    let request = || fixture.event().request("r").broadcast("hi");
    let store = fixture.open();
    assert!(!store.event_repository().append(request()).await.unwrap().duplicate);
    fixture.clock.advance(2 * HOUR);
    drop(store);
    let store = fixture.open();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(store.event_repository().append(request()).await.unwrap().duplicate);
    fixture.clock.advance(Duration::from_millis(1));
    drop(store);
    let store = fixture.open();
    tokio::time::timeout(Duration::from_secs(30), async {
        while store.event_repository().append(request()).await.unwrap().duplicate {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_repeat_is_answered_although_its_event_is_forgotten() {
    let fixture = Fixture::new(keeping(HOUR, 0, 10 * HOUR));
    let request = || fixture.event().request("r").broadcast("hi");
    let store = fixture.open();
    let first = store.event_repository().append(request()).await.unwrap();
    fixture.clock.advance(2 * HOUR);
    drop(store);
    let store = fixture.open();
    wait_for_events(&store, 0).await;
    let again = store.event_repository().append(request()).await.unwrap();
    assert!(again.duplicate);
    assert_eq!((again.event_id, again.cursor), (first.event_id, first.cursor));
    assert_eq!(again.created_at, first.created_at);
}
