//! Disks that fail: what was acknowledged stays, what was not can be repeated, and the store comes
//! back by itself.

use std::{
    fs::OpenOptions,
    io,
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use game_realtime_application::{
    panics::Watchdog,
    ports::{AppendError, EventFeed, EventRepository, StoreErrorKind, StoreHealth},
};
use game_realtime_contract::{
    ConnectionBuilder, EventBuilder, Follower, WallClock, at_least, keeping,
};
use game_realtime_domain::EventType;
use redb::{Builder, DatabaseError, StorageBackend, backends::FileBackend};

use super::*;
use crate::{EmbeddedStore, file};

const DAY: Duration = Duration::from_secs(24 * 3600);
const KEEPING: Keeping = Keeping { retention: keeping(DAY, 10_000, DAY), space_budget: 0 };

/// Says when and how a disk fails. Well, to begin with.
#[derive(Debug)]
struct Trouble {
    /// How many more writes and syncs succeed.
    after: AtomicI64,
    /// How many fail then, before the disk is well again.
    failing: AtomicI64,
    panics: bool,
}

impl Trouble {
    fn new(panics: bool) -> Arc<Self> {
        Arc::new(Self { after: i64::MAX.into(), failing: 0.into(), panics })
    }

    fn strike(&self, after: i64, failing: i64) {
        self.failing.store(failing, Ordering::SeqCst);
        self.after.store(after, Ordering::SeqCst);
    }

    fn meet(&self) -> io::Result<()> {
        let well = self.after.fetch_sub(1, Ordering::SeqCst) > 0
            || self.failing.fetch_sub(1, Ordering::SeqCst) <= 0;
        assert!(well || !self.panics, "a panic below the database");
        if well { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
}

#[derive(Debug)]
struct TroubledDisk(FileBackend, Arc<Trouble>);

impl StorageBackend for TroubledDisk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.1.meet()?;
        self.0.set_len(length)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.meet()?;
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.1.meet()?;
        self.0.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

fn open_disk(path: &Path, trouble: &Arc<Trouble>) -> Result<redb::Database, DatabaseError> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let disk = TroubledDisk(FileBackend::new(file)?, Arc::clone(trouble));
    Builder::new().create_with_backend(disk)
}

fn store_on(path: &Path, trouble: &Arc<Trouble>) -> EmbeddedStore {
    let epoch = Epoch::parse("epoch").unwrap();
    file::open_or_create(path, &epoch, file::CHECKED).unwrap().close().unwrap();
    let opener = {
        let (path, trouble) = (path.to_owned(), Arc::clone(trouble));
        Box::new(move || open_disk(&path, &trouble))
    };
    let database = Arc::new(Database::new(opener().unwrap(), Some(opener), Box::new(|| 0)));
    let state = database.state().unwrap();
    let clock = Arc::new(WallClock);
    EmbeddedStore::start(database, state, Duration::from_secs(3), KEEPING, clock, &Watchdog::new())
        .unwrap()
}

fn assert_unavailable(error: &AppendError) {
    assert!(
        matches!(error, AppendError::Store(error) if error.kind == StoreErrorKind::Unavailable),
        "{error:?}"
    );
}

/// Appends each number as a request of its own, repeating what was not acknowledged, while the
/// disk fails once. Every request must be in the log once, in order, in the end.
async fn assert_exactly_once(after: i64, failing: i64, panics: bool) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let trouble = Trouble::new(panics);
    let store = store_on(&path, &trouble);
    let events = store.event_repository();
    let feed: Arc<dyn EventFeed> = Arc::new(store.event_feed());
    let sender = ConnectionBuilder::player("alice").build();
    let history = feed.recent(at_least(Duration::ZERO, 0)).await.unwrap();
    trouble.strike(after, failing);
    let mut acknowledged = Vec::new();
    for number in 0..8 {
        loop {
            let request = number.to_string();
            let event = EventBuilder::from(&sender).request(&request).broadcast(&request);
            match events.append(event).await {
                Ok(appended) => {
                    acknowledged.push(appended);
                    break;
                }
                Err(error) => assert!(matches!(error, AppendError::Store(_)), "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    store.store_health().check().await.unwrap();
    let ids: Vec<_> = acknowledged.iter().map(|appended| appended.event_id).collect();
    let mut follower = Follower::open(&feed, &history.epoch, history.head).await;
    let followed = follower.events_until(ids[7]).await;
    assert_eq!(followed.iter().map(|event| event.event.id).collect::<Vec<_>>(), ids);
    for (event, appended) in followed.iter().zip(&acknowledged) {
        assert_eq!(event.position, appended.cursor.position);
    }
    drop((store, events, feed, follower));
    let reopened = store_on(&path, &Trouble::new(false));
    let listed = reopened.event_repository().list(EventType::Broadcast, 100).await.unwrap().events;
    assert_eq!(listed.iter().rev().map(|event| event.event.id).collect::<Vec<_>>(), ids);
}

#[tokio::test]
async fn wherever_the_disk_fails_every_request_is_committed_once() {
    for after in 0..60 {
        assert_exactly_once(after, 1, false).await;
    }
}

#[tokio::test]
async fn however_long_the_disk_fails_every_request_is_committed_once() {
    for (after, failing) in [(0, 2), (1, 3), (5, 4), (9, 8), (14, 20)] {
        assert_exactly_once(after, failing, false).await;
    }
}

#[tokio::test]
async fn wherever_the_database_panics_every_request_is_committed_once() {
    for after in (0..60).step_by(3) {
        assert_exactly_once(after, 1, true).await;
    }
}

#[tokio::test]
async fn a_store_that_cannot_write_is_unhealthy_until_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let trouble = Trouble::new(false);
    let store = store_on(&directory.path().join("store.redb"), &trouble);
    let sender = ConnectionBuilder::player("alice").build();
    store.store_health().check().await.unwrap();
    trouble.strike(0, i64::MAX);
    let event = EventBuilder::from(&sender).broadcast("lost");
    assert_unavailable(&store.event_repository().append(event).await.unwrap_err());
    let sick = store.store_health().check().await.unwrap_err();
    assert_eq!(sick.kind, StoreErrorKind::Unavailable);
    trouble.strike(i64::MAX, 0);
    // It mends itself, without being asked to write.
    while store.store_health().check().await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let event = EventBuilder::from(&sender).broadcast("kept");
    let kept = store.event_repository().append(event).await.unwrap();
    let listed = store.event_repository().list(EventType::Broadcast, 10).await.unwrap().events;
    assert_eq!(listed.first().map(|event| event.event.id), Some(kept.event_id));
}

#[tokio::test]
async fn another_file_in_the_place_of_a_failed_one_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let (path, other) = (directory.path().join("store.redb"), directory.path().join("other.redb"));
    let trouble = Trouble::new(false);
    let store = store_on(&path, &trouble);
    let sender = ConnectionBuilder::player("alice").build();
    let events = store.event_repository();
    events.append(EventBuilder::from(&sender).broadcast("kept")).await.unwrap();
    let another = Epoch::parse("another").unwrap();
    file::open_or_create(&other, &another, file::CHECKED).unwrap().close().unwrap();
    std::fs::rename(&other, &path).unwrap();
    trouble.strike(0, 1);
    for _ in 0..3 {
        events.append(EventBuilder::from(&sender).broadcast("lost")).await.unwrap_err();
    }
    assert_eq!(store.store_health().check().await.unwrap_err().kind, StoreErrorKind::Corrupt);
}
