//! Files that no healthy store writes: records that nobody can read, clocks that were wrong, damage,
//! other formats.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use game_realtime_application::{
    ClassRetention, PositionedEvent, RetentionPolicy,
    panics::Watchdog,
    ports::{AppendError, Clock, EventFeed, EventRepository, StoreErrorKind},
};
use game_realtime_contract::{
    ConnectionBuilder, EVERYTHING, EventBuilder, Follower, WallClock, keeping, unique_id,
};
use game_realtime_domain::{Connection, Epoch, EventType, Timestamp};
use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};

use crate::{
    EmbeddedStore, OpenError,
    database::Database,
    fault::Fault,
    file,
    ledger::Ledger,
    records,
    tables::{
        EVENTS, EVENTS_BY_TYPE, FORMAT, LAST_EVENT, PROGRESS, PRUNED_UP_TO, RECEIPTS,
        RECEIPTS_BY_AGE, STATE_RECEIPTS, parse_receipt_entry,
    },
    writer::Keeping,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A clock that can be set.
struct SettableClock(AtomicU64);

impl SettableClock {
    fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::Relaxed);
    }
}

impl Clock for SettableClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// A store whose file and clock the test has in its hands.
struct Fixture {
    directory: tempfile::TempDir,
    database: Arc<Database>,
    store: EmbeddedStore,
    retention: RetentionPolicy,
    clock: Arc<SettableClock>,
    sender: Connection,
}

impl Fixture {
    fn new() -> Self {
        Self::in_directory(tempfile::tempdir().unwrap(), u64::MAX)
    }

    fn in_directory(directory: tempfile::TempDir, checked: u64) -> Self {
        let database = open(&directory.path().join("store.redb"), checked).unwrap();
        let clock = Arc::new(SettableClock(WallClock.now().as_millis().into()));
        let retention = keeping(HOUR, 0, HOUR);
        let store = start(&database, retention, &clock);
        let sender = ConnectionBuilder::player("alice").build();
        Self { directory, database, store, retention, clock, sender }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("store.redb")
    }

    /// Ends the process, as it were, and begins another one. The first thing that does is to prune.
    async fn restart(&mut self) {
        self.store.close().await.unwrap();
        self.database = open(&self.path(), u64::MAX).unwrap();
        self.store = start(&self.database, self.retention, &self.clock);
    }

    fn event(&self) -> EventBuilder {
        EventBuilder::from(&self.sender).created_at(self.clock.now())
    }

    async fn append(&self, count: usize) {
        for _ in 0..count {
            let event = self.event().request(&unique_id().to_string()).broadcast("hi");
            self.store.event_repository().append(event).await.unwrap();
        }
    }

    fn feed(&self) -> Arc<dyn EventFeed> {
        Arc::new(self.store.event_feed())
    }

    async fn numbers(&self) -> Vec<u64> {
        numbers(&self.feed().recent(EVERYTHING).await.unwrap().events)
    }

    /// Changes the file behind the store's back.
    fn tamper(&self, change: impl FnOnce(&WriteTransaction) -> Result<(), Fault>) {
        let transaction = self.database.begin_write().unwrap();
        change(&transaction).unwrap();
        transaction.commit().unwrap();
    }

    fn replace_event(&self, number: u64, record: &[u8]) {
        self.tamper(|transaction| {
            transaction.open_table(EVENTS)?.insert(number, record)?;
            Ok(())
        });
    }

    fn ledger(&self) -> Ledger {
        self.database.state().unwrap().ledger
    }

    async fn wait_until(&self, what: impl Fn(&Ledger) -> bool) {
        tokio::time::timeout(Duration::from_secs(20), async {
            while !what(&self.ledger()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
    }

    fn receipts(&self) -> u64 {
        self.database.begin_read().unwrap().open_table(RECEIPTS).unwrap().len().unwrap()
    }
}

fn start(
    database: &Arc<Database>,
    retention: RetentionPolicy,
    clock: &Arc<SettableClock>,
) -> EmbeddedStore {
    let keeping = Keeping { retention, space_budget: 0 };
    let state = database.state().unwrap();
    let (database, clock) = (Arc::clone(database), Arc::clone(clock));
    EmbeddedStore::start(database, state, HOUR, keeping, clock, &Watchdog::new()).unwrap()
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = u64::try_from(by.as_millis()).unwrap();
    Timestamp::from_millis(time.as_millis().saturating_add(by))
}

fn numbers(events: &[PositionedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.position.revision).collect()
}

/// The record of an event of a type that only a later release knows, and one that is cut short.
fn unreadable(number: u64) -> [Vec<u8>; 2] {
    let sender = ConnectionBuilder::player("alice").build();
    let record = records::encode_event(&EventBuilder::from(&sender).broadcast("hi")).unwrap();
    let record = String::from_utf8(record).unwrap();
    let unknown = record.replace("core.game.state.broadcast", "core.game.state.unheard_of");
    [records::seal_event(number, unknown.as_bytes()), record.as_bytes()[..20].to_vec()]
}

#[tokio::test]
async fn every_reader_passes_over_what_it_cannot_read() {
    for place in [1, 4, 6] {
        for record in unreadable(place) {
            let fixture = Fixture::new();
            let before = fixture.feed().recent(EVERYTHING).await.unwrap();
            fixture.append(6).await;
            fixture.replace_event(place, &record);
            let readable: Vec<u64> = (1..=6).filter(|number| *number != place).collect();

            let history = fixture.feed().recent(EVERYTHING).await.unwrap();
            assert_eq!(numbers(&history.events), readable);
            assert_eq!(history.head.revision, 6, "the head moves past it");
            let mut follower = Follower::open(&fixture.feed(), &before.epoch, before.head).await;
            let mut followed = Vec::new();
            while follower.head().revision < 6 {
                followed.extend(numbers(&follower.update().await.events));
            }
            assert_eq!(followed, readable);
            let listed = fixture.store.event_repository().list(EventType::Broadcast, 3).await;
            let newest: Vec<u64> = readable.iter().rev().take(3).copied().collect();
            assert_eq!(numbers(&listed.unwrap().events), newest, "as many as were asked for");
            assert_eq!(fixture.database.unreadables.count(), 1, "met three times, counted once");
        }
    }
}

#[tokio::test]
async fn pruning_passes_over_what_nobody_can_read() {
    for place in [1, 3, 5] {
        for record in unreadable(place) {
            let mut fixture = Fixture::new();
            fixture.append(5).await;
            fixture.clock.set(later(fixture.clock.now(), 2 * HOUR));
            fixture.append(3).await;
            fixture.replace_event(place, &record);
            fixture.restart().await;
            // The last of the old ones may be as young as the next one, unless it says when it was
            // created.
            let stamp = records::created_at(place, &record);
            let held = if place == 5 && stamp.is_none() { 4 } else { 3 };
            fixture.wait_until(|ledger| ledger.held == held).await;
            assert_eq!(fixture.numbers().await, [6, 7, 8]);
            fixture.clock.set(later(fixture.clock.now(), 2 * HOUR));
            fixture.append(1).await;
            fixture.restart().await;
            fixture.wait_until(|ledger| ledger.held == 1).await;
        }
    }
}

#[tokio::test]
async fn an_event_of_an_unknown_kind_is_kept_as_long_as_purchases() {
    let mut fixture = Fixture::new();
    fixture.append(3).await;
    fixture.tamper(|transaction| {
        let mut index = transaction.open_table(EVENTS_BY_TYPE)?;
        index.remove((1, 2))?;
        index.insert((200, 2), ())?;
        transaction.open_table(EVENTS)?.insert(2, unreadable(2)[0].as_slice())?;
        Ok(())
    });
    let purchases = ClassRetention { events: 4 * HOUR, receipts: 4 * HOUR };
    fixture.retention.purchases = purchases;
    fixture.clock.set(later(fixture.clock.now(), 2 * HOUR));
    fixture.restart().await;
    fixture.wait_until(|ledger| ledger.held == 1).await;
    fixture.clock.set(later(fixture.clock.now(), 3 * HOUR));
    fixture.append(1).await;
    fixture.restart().await;
    fixture.wait_until(|ledger| ledger.held == 1 && ledger.pruned.purchases == 2).await;
}

#[tokio::test]
async fn an_unreadable_receipt_fails_its_own_request_alone() {
    let fixture = Fixture::new();
    let events = fixture.store.event_repository();
    let request = |id: &str| fixture.event().request(id).broadcast("hi");
    events.append(request("broken")).await.unwrap();
    let first = events.append(request("whole")).await.unwrap();
    fixture.tamper(|transaction| {
        let mut receipts = transaction.open_table(RECEIPTS)?;
        let list = transaction.open_table(STATE_RECEIPTS)?;
        let entry = list.get(1)?.unwrap();
        let (_, key) = parse_receipt_entry(entry.value()).unwrap();
        receipts.insert(key, b"{".as_slice())?;
        Ok(())
    });
    let (broken, whole, new) = futures_util::join!(
        events.append(request("broken")),
        events.append(request("whole")),
        events.append(request("new"))
    );
    let refused = broken.unwrap_err();
    assert!(
        matches!(&refused, AppendError::Store(error) if error.kind == StoreErrorKind::Corrupt),
        "{refused:?}"
    );
    let whole = whole.unwrap();
    assert!(whole.duplicate && whole.event_id == first.event_id);
    assert!(!new.unwrap().duplicate);
    assert_eq!(fixture.numbers().await, [1, 2, 3], "it is not appended a second time");
}

#[tokio::test]
async fn a_clock_that_was_wrong_holds_up_neither_events_nor_receipts() {
    let right = WallClock.now();
    // Years ahead, and as far as numbers go; more events than one step of pruning looks at.
    for (ahead, count) in [(73 * 365 * 24 * HOUR, 3), (Duration::from_millis(u64::MAX), 2500)] {
        let mut fixture = Fixture::new();
        fixture.append(2).await;
        fixture.clock.set(later(right, ahead));
        let events = fixture.store.event_repository();
        let wrong = (0..count).map(|number: usize| {
            events.append(fixture.event().request(&number.to_string()).broadcast("hi"))
        });
        futures_util::future::join_all(wrong).await;
        fixture.clock.set(right);
        fixture.append(2).await;
        fixture.clock.set(later(right, 2 * HOUR));
        fixture.append(2).await;
        drop(events);
        fixture.restart().await;
        fixture.wait_until(|ledger| ledger.held == 2).await;
        tokio::time::timeout(Duration::from_secs(20), async {
            while fixture.receipts() != 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_clock_that_was_behind_takes_no_young_events_with_it() {
    let right = WallClock.now();
    let mut fixture = Fixture::new();
    fixture.append(3).await;
    fixture.clock.set(right.minus(1000 * HOUR));
    fixture.append(3).await;
    fixture.clock.set(later(right, HOUR / 2));
    fixture.append(3).await;
    fixture.restart().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(fixture.numbers().await.len(), 9);
    fixture.clock.set(later(right, HOUR + HOUR / 4));
    fixture.restart().await;
    fixture.wait_until(|ledger| ledger.held == 3).await;
}

#[tokio::test]
async fn an_event_that_is_missing_is_damage_and_no_silence() {
    let fixture = Fixture::new();
    let before = fixture.feed().recent(EVERYTHING).await.unwrap();
    fixture.append(5).await;
    fixture.tamper(|transaction| {
        transaction.open_table(EVENTS)?.remove(3)?;
        Ok(())
    });
    fixture.feed().recent(EVERYTHING).await.unwrap_err();
    fixture.store.event_repository().list(EventType::Broadcast, 5).await.unwrap_err();
    let mut stream = fixture.feed().follow(&before.epoch, before.head).await.unwrap();
    stream.next().await.unwrap_err();
    fixture.database.state().unwrap_err();
}

/// A file as a program of format 1 left it: events 3 to 6, of which 4 is a purchase.
fn write_format_1(path: &Path) {
    let sender = ConnectionBuilder::player("alice").build();
    let database = redb::Database::create(path).unwrap();
    let mut transaction = database.begin_write().unwrap();
    transaction.set_two_phase_commit(true);
    {
        let mut events = transaction.open_table(EVENTS).unwrap();
        let mut index = transaction.open_table(EVENTS_BY_TYPE).unwrap();
        let mut receipts = transaction.open_table(RECEIPTS).unwrap();
        let mut by_age = transaction.open_table(RECEIPTS_BY_AGE).unwrap();
        for number in 3..=6_u64 {
            let event = EventBuilder::from(&sender).request(&number.to_string());
            let (event, code) = match number {
                4 => (event.purchase("sword", 1), 3),
                _ => (event.broadcast("hi"), 1),
            };
            let record = records::encode_event(&event).unwrap();
            events.insert(number, record.as_slice()).unwrap();
            index.insert((code, number), ()).unwrap();
            let receipt = event.receipt.unwrap();
            let key = crate::tables::receipt_key(&receipt);
            let now = event.event.created_at;
            let record = serde_json::to_vec(&records::ReceiptRecord {
                event_id: event.event.id,
                number,
                created_at: now,
                fingerprint: receipt.fingerprint,
            });
            receipts.insert(key.as_slice(), record.unwrap().as_slice()).unwrap();
            by_age.insert((now.as_millis(), number), key.as_slice()).unwrap();
        }
        let mut identity = transaction.open_table(crate::tables::IDENTITY).unwrap();
        identity.insert(crate::tables::EPOCH, "epoch").unwrap();
        let mut progress = transaction.open_table(PROGRESS).unwrap();
        for (key, number) in [(FORMAT, 1), (LAST_EVENT, 6), (PRUNED_UP_TO, 2)] {
            progress.insert(key, number).unwrap();
        }
    }
    transaction.commit().unwrap();
    database.close().unwrap();
}

fn open(path: &Path, checked: u64) -> Result<Arc<Database>, OpenError> {
    let opened = file::open_or_create(path, &Epoch::parse("new").unwrap(), checked)?;
    Ok(Arc::new(Database::new(opened, None, Box::new(|| 0))))
}

#[tokio::test]
async fn a_file_of_format_1_is_upgraded_with_all_it_holds() {
    for checked in [0, u64::MAX] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.redb");
        write_format_1(&path);
        let mut fixture = Fixture::in_directory(directory, checked);
        let now = fixture.clock.now();
        let history = fixture.feed().recent(EVERYTHING).await.unwrap();
        assert_eq!((history.epoch.as_str(), history.floor.revision), ("epoch", 2));
        assert_eq!(numbers(&history.events), [3, 4, 5, 6]);
        for (number, event) in (3..=6_u64).zip(&history.events) {
            let repeat = fixture.event().request(&number.to_string());
            let repeat = match number {
                4 => repeat.purchase("sword", 1),
                _ => repeat.broadcast("hi"),
            };
            let answer = fixture.store.event_repository().append(repeat).await.unwrap();
            assert!(answer.duplicate, "{number}");
            assert_eq!((answer.event_id, answer.cursor.position), (event.event.id, event.position));
        }
        let space = fixture.ledger().space;
        assert!(space.events.purchases > 0 && space.events.state > 2 * space.events.purchases);
        assert!(space.receipts.purchases > 0 && space.receipts.state > space.receipts.purchases);
        fixture.append(1).await;
        // Old receipts and events can be pruned like new ones.
        fixture.clock.set(later(now, 2 * HOUR));
        fixture.restart().await;
        fixture.wait_until(|ledger| ledger.held == 0 && ledger.space.total() == 0).await;
        assert_eq!(fixture.ledger().last_event, 7);
    }
}

#[tokio::test]
async fn a_file_of_a_later_format_is_refused_by_its_number() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let database = open(&path, 0).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(PROGRESS).unwrap().insert(FORMAT, records::FORMAT + 1).unwrap();
    transaction.commit().unwrap();
    database.close().unwrap();
    let refused = open(&path, 0).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 3, known: 2, .. }), "{refused}");
}

/// What a program of format 1 looks at before it looks at the format.
#[tokio::test]
async fn a_program_of_format_1_finds_no_damage_in_a_later_file() {
    let mut fixture = Fixture::new();
    fixture.append(1).await;
    let purchase = fixture.event().purchase("sword", 1);
    fixture.store.event_repository().append(purchase).await.unwrap();
    fixture.append(5).await;
    fixture.tamper(|transaction| {
        // Older than they may get, around a purchase that is not: the log has a hole then.
        let mut events = transaction.open_table(EVENTS)?;
        for number in [1, 3, 4] {
            let old = EventBuilder::from(&fixture.sender).created_at(Timestamp::from_millis(1));
            let record = records::encode_event(&old.broadcast("hi")).unwrap();
            events.insert(number, record.as_slice())?;
        }
        Ok(())
    });
    fixture.restart().await;
    fixture.wait_until(|ledger| ledger.pruned.state == 4).await;
    assert_eq!(fixture.ledger().held, 4);
    let transaction = fixture.database.begin_read().unwrap();
    let progress = transaction.open_table(PROGRESS).unwrap();
    let number = |key| progress.get(key).unwrap().unwrap().value();
    let events = transaction.open_table(EVENTS).unwrap();
    assert_eq!(number(LAST_EVENT) - number(PRUNED_UP_TO), events.len().unwrap());
    assert_eq!(events.last().unwrap().unwrap().0.value(), number(LAST_EVENT));
    assert!(number(FORMAT) > 1);
}

/// Without a check of every page: whatever is served is right, and what is missing in the order of
/// events was noticed. (A listing may be short without a word, if its index is damaged.)
#[tokio::test]
async fn damage_in_a_large_file_is_noticed_when_it_is_read() {
    let fixture = Fixture::new();
    let path = fixture.path();
    fixture.append(300).await;
    let events = fixture.feed().recent(EVERYTHING).await.unwrap().events;
    fixture.store.close().await.unwrap();
    let intact = std::fs::read(&path).unwrap();
    let mut noticed = 0;
    for offset in (0..320).step_by(7).chain((320..intact.len()).step_by(intact.len() / 400)) {
        let mut damaged = intact.clone();
        damaged[offset] ^= 1 << (offset % 8);
        std::fs::write(&path, &damaged).unwrap();
        let Ok(Ok(database)) = std::panic::catch_unwind(|| open(&path, 0)) else {
            noticed += 1;
            continue;
        };
        let read = database.state().and_then(|_| {
            Fault::catch(|| {
                let transaction = database.begin_read()?;
                let unreadables = &database.unreadables;
                let page = crate::event_log::page(&transaction, unreadables, 0, 300)?.unwrap();
                let listed = crate::event_log::newest(
                    &transaction,
                    unreadables,
                    EventType::Broadcast,
                    300,
                    300,
                )?;
                Ok((page.events, listed))
            })
        });
        let Ok((page, listed)) = read else {
            noticed += 1;
            continue;
        };
        let complete = page.len() == events.len();
        noticed += usize::from(!complete);
        assert!(complete || database.unreadables.count() > 0, "bit at {offset}");
        for served in page.iter().chain(&listed) {
            assert!(events.contains(served), "bit at {offset}");
        }
    }
    assert!(noticed > 50, "{noticed} were noticed");
}
