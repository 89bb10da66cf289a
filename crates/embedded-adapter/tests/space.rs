//! A store that is written to without end stays within its budget of space.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "what is not expected is a failure")]

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytesize::ByteSize;
use futures_util::{StreamExt, stream};
use game_realtime_application::{
    TimelineLimits,
    panics::Watchdog,
    ports::{Clock, EventFeed, EventRepository, FollowError},
};
use game_realtime_contract::{
    ConnectionBuilder, EVERYTHING, EventBuilder, Follower, ManualClock, WallClock, keeping,
    unique_id,
};
use game_realtime_domain::{Connection, EventType, Position};
use game_realtime_embedded_adapter::{Config, EmbeddedStore};

const DAY: Duration = Duration::from_secs(24 * 3600);
const BUDGET: ByteSize = ByteSize::mib(8);

struct Fixture {
    _directory: tempfile::TempDir,
    path: PathBuf,
    budget: ByteSize,
    sender: Connection,
    clock: Arc<ManualClock>,
}

impl Fixture {
    fn new(budget: ByteSize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.redb");
        let sender = ConnectionBuilder::player("alice").build();
        let clock = Arc::new(ManualClock::new(WallClock.now()));
        Self { _directory: directory, path, budget, sender, clock }
    }

    fn open(&self) -> EmbeddedStore {
        let config = Config {
            path: self.path.to_str().unwrap().to_owned(),
            space_budget: self.budget,
            request_timeout: Duration::from_secs(30),
        };
        let retention = keeping(7 * DAY, 10_000, DAY);
        let clock = Arc::clone(&self.clock) as _;
        EmbeddedStore::open(&config, retention, clock, &Watchdog::new()).unwrap()
    }

    /// Appends broadcasts with a `request_id` each, many at once, a hundred a second by the store's clock:
    /// receipts that are seconds old stay. None may be refused.
    async fn write(&self, store: &EmbeddedStore, count: usize, text: usize) {
        let events = store.event_repository();
        let text = "x".repeat(text);
        stream::iter(0..count)
            .map(|number| {
                if number % 100 == 0 {
                    self.clock.advance(Duration::from_secs(1));
                }
                let event = EventBuilder::from(&self.sender).request(&unique_id().to_string());
                events.append(event.broadcast(&text))
            })
            .buffer_unordered(1000)
            .for_each(|appended| async move { drop(appended.unwrap()) })
            .await;
    }

    async fn buy(&self, store: &EmbeddedStore, request: &str) -> bool {
        let event = EventBuilder::from(&self.sender).request(request).purchase("sword", 1);
        store.event_repository().append(event).await.unwrap().duplicate
    }
}

/// Looks at a file's length all the time.
struct Observer {
    over: Arc<AtomicBool>,
    task: std::thread::JoinHandle<u64>,
}

impl Observer {
    fn of(path: PathBuf) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let task = std::thread::spawn(move || {
            let mut longest = 0;
            while !ended.load(Ordering::Relaxed) {
                longest = longest.max(std::fs::metadata(&path).map_or(0, |file| file.len()));
                std::thread::sleep(Duration::from_micros(200));
            }
            longest
        });
        Self { over, task }
    }

    fn longest(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.task.join().unwrap()
    }
}

async fn purchases(store: &EmbeddedStore) -> usize {
    store.event_repository().list(EventType::BuyGood, 1000).await.unwrap().events.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_writing_stays_within_the_budget_and_purchases_stay() {
    let fixture = Fixture::new(BUDGET);
    let mut store = fixture.open();
    let observer = Observer::of(fixture.path.clone());
    for number in 0..20 {
        assert!(!fixture.buy(&store, &number.to_string()).await);
    }
    // Some thirty times what the budget holds.
    for round in 0..6 {
        fixture.write(&store, 10_000, 100).await;
        let broadcasts = store.event_repository().list(EventType::Broadcast, 100_000).await;
        let broadcasts = broadcasts.unwrap().events;
        println!("round {round}: {} broadcasts are held", broadcasts.len());
        assert!((1000..10_000).contains(&broadcasts.len()), "{}", broadcasts.len());
        assert_eq!(purchases(&store).await, 20);
        assert!(fixture.buy(&store, "7").await, "the request is remembered");
        if round == 2 {
            drop(store);
            store = fixture.open();
        }
    }
    let longest = observer.longest();
    println!("the file was {} long at most", ByteSize::b(longest));
    assert!(longest <= BUDGET.as_u64(), "{longest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_all_sizes_stay_within_the_budget() {
    let fixture = Fixture::new(ByteSize::mib(32));
    let store = fixture.open();
    let observer = Observer::of(fixture.path.clone());
    for (count, text) in [(20_000, 10), (500, 60_000), (5000, 2000), (500, 30_000), (20_000, 10)] {
        fixture.write(&store, count, text).await;
    }
    let longest = observer.longest();
    println!("the file was {} long at most", ByteSize::b(longest));
    assert!(longest <= fixture.budget.as_u64(), "{longest}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_too_small_for_anything_refuses_nothing() {
    let fixture = Fixture::new(ByteSize::kib(64));
    let store = fixture.open();
    fixture.write(&store, 3000, 1000).await;
    let last = EventBuilder::from(&fixture.sender).broadcast("last");
    let last = store.event_repository().append(last).await.unwrap();
    let history = store.event_feed().recent(EVERYTHING).await.unwrap();
    assert_eq!(history.events.last().map(|event| event.event.id), Some(last.event_id));
    assert!(history.events.len() < 2000, "{}", history.events.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_went_for_want_of_space_is_said_to_be_lost() {
    let fixture = Fixture::new(BUDGET);
    let store = fixture.open();
    fixture.buy(&store, "first").await;
    let feed: Arc<dyn EventFeed> = Arc::new(store.event_feed());
    let before = feed.recent(EVERYTHING).await.unwrap();
    fixture.write(&store, 20_000, 100).await;
    let history = feed.recent(EVERYTHING).await.unwrap();
    // The purchase is still there, but not everything after it.
    assert_eq!(purchases(&store).await, 1);
    assert!(history.floor > before.head);
    assert!(history.events.iter().all(|event| event.position > history.floor));
    for lost in [Position::START, before.head] {
        let followed = feed.follow(&history.epoch, lost).await;
        assert!(matches!(followed.map(|_| ()), Err(FollowError::Lost)), "{lost}");
    }
    let mut follower = Follower::open(&feed, &history.epoch, history.floor).await;
    assert_eq!(follower.events(history.events.len()).await, history.events);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purchases_go_when_there_is_nothing_else_and_the_oldest_first() {
    let fixture = Fixture::new(BUDGET);
    let store = fixture.open();
    fixture.write(&store, 1000, 100).await;
    let events = store.event_repository();
    stream::iter(0..20_000)
        .map(|number: usize| {
            let event = EventBuilder::from(&fixture.sender).request(&number.to_string());
            events.append(event.purchase("sword", 1))
        })
        .buffered(500)
        .for_each(|appended| async move { drop(appended.unwrap()) })
        .await;
    assert_eq!(events.list(EventType::Broadcast, 10).await.unwrap().events, []);
    let kept = events.list(EventType::BuyGood, 100_000).await.unwrap().events;
    println!("{} purchases are kept", kept.len());
    assert!((1000..19_000).contains(&kept.len()));
    let numbers: Vec<u64> = kept.iter().map(|event| event.position.revision).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] == pair[1] + 1), "the newest, without a hole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_in_memory_has_a_budget_too() {
    let mut fixture = Fixture::new(BUDGET);
    fixture.path = PathBuf::from(":memory:");
    let store = fixture.open();
    fixture.write(&store, 20_000, 100).await;
    let limits = TimelineLimits { age: DAY, events: 0, bytes: usize::MAX };
    let held = store.event_feed().recent(limits).await.unwrap().events.len();
    assert!(held < 10_000, "{held}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_longer_than_a_smaller_budget_is_cut() {
    let mut fixture = Fixture::new(ByteSize::mib(64));
    let store = fixture.open();
    fixture.write(&store, 25_000, 100).await;
    drop(store);
    let length = || std::fs::metadata(&fixture.path).unwrap().len();
    let before = length();
    assert!(before > 2 * BUDGET.as_u64(), "{before}");
    fixture.budget = BUDGET;
    let _store = fixture.open();
    tokio::time::timeout(Duration::from_secs(60), async {
        while std::fs::metadata(&fixture.path).unwrap().len() > BUDGET.as_u64() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
}
