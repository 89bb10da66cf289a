//! What survives a restart, a crash, and damage to the file.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what is not expected is a failure")]

use bytesize::ByteSize;
use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use game_realtime_application::{
    PositionedEvent,
    panics::Watchdog,
    ports::{EventFeed, EventRepository, FollowError, StoreErrorKind, StoreHealth},
};
use game_realtime_contract::{
    ConnectionBuilder, EVERYTHING, EventBuilder, Follower, WallClock, keeping,
};
use game_realtime_domain::{EventType, Position};
use game_realtime_embedded_adapter::{Config, EmbeddedStore, OpenError};

const HELD: &str = "EMBEDDED_STORE_HELD_BY_A_CHILD";

fn open(path: &Path) -> Result<EmbeddedStore, OpenError> {
    let options = keeping(Duration::from_secs(24 * 3600), 10_000, Duration::from_secs(24 * 3600));
    let config = Config {
        path: path.to_str().unwrap().to_owned(),
        space_budget: ByteSize::gib(1),
        request_timeout: Duration::from_secs(30),
    };
    EmbeddedStore::open(&config, options, Arc::new(WallClock), &Watchdog::new())
}

async fn append(store: &EmbeddedStore, count: usize) {
    let sender = ConnectionBuilder::player("alice").build();
    for number in 0..count {
        let event = EventBuilder::from(&sender).request(&number.to_string());
        let event = event.broadcast(&"x".repeat(number % 200));
        store.event_repository().append(event).await.unwrap();
    }
}

async fn history(store: &EmbeddedStore) -> Vec<PositionedEvent> {
    store.event_feed().recent(EVERYTHING).await.unwrap().events
}

#[tokio::test]
async fn events_receipts_and_epoch_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/directories/store.redb");
    let sender = ConnectionBuilder::player("alice").build();
    let message = || EventBuilder::from(&sender).request("r").message("bob", "hi");
    let store = open(&path).unwrap();
    append(&store, 20).await;
    let first = store.event_repository().append(message()).await.unwrap();
    let before = store.event_feed().recent(EVERYTHING).await.unwrap();
    store.close().await.unwrap();
    drop(store);

    let store = open(&path).unwrap();
    let after = store.event_feed().recent(EVERYTHING).await.unwrap();
    assert_eq!(after, before);
    let again = store.event_repository().append(message()).await.unwrap();
    assert!(again.duplicate);
    assert_eq!((again.event_id, &again.cursor), (first.event_id, &first.cursor));
    let next = EventBuilder::from(&sender).broadcast("next");
    let next = store.event_repository().append(next).await.unwrap();
    assert!(next.cursor.position > first.cursor.position);
    let feed: Arc<dyn EventFeed> = Arc::new(store.event_feed());
    let mut follower = Follower::open(&feed, &first.cursor.epoch, first.cursor.position).await;
    assert_eq!(follower.events(1).await.len(), 1);
}

#[tokio::test]
async fn dropping_the_store_commits_what_was_accepted_and_frees_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    for round in 1..=5 {
        let store = open(&path).unwrap();
        let events = store.event_repository();
        let sender = ConnectionBuilder::guest().build();
        let mut accepted = Box::pin(events.append(EventBuilder::from(&sender).broadcast("hi")));
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(accepted.as_mut().poll(context).is_ready())
        })
        .await;
        drop(accepted);
        drop((store, events));
        assert_eq!(history(&open(&path).unwrap()).await.len(), round);
    }
}

#[tokio::test]
async fn a_closed_store_refuses_work_and_frees_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = open(&path).unwrap();
    append(&store, 3).await;
    let feed = store.event_feed();
    let head = feed.recent(EVERYTHING).await.unwrap();
    let mut stream = feed.follow(&head.epoch, head.head).await.unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    let event = EventBuilder::from(&ConnectionBuilder::guest().build()).broadcast("late");
    store.event_repository().append(event).await.unwrap_err();
    store.event_repository().list(EventType::Broadcast, 1).await.unwrap_err();
    let unhealthy = store.store_health().check().await.unwrap_err();
    assert_eq!(unhealthy.kind, StoreErrorKind::Unavailable);
    assert!(matches!(stream.next().await.unwrap_err(), FollowError::Store(_)));
    assert_eq!(history(&open(&path).unwrap()).await, head.events);
}

#[tokio::test]
async fn a_position_that_was_never_given_out_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store.redb")).unwrap();
    append(&store, 3).await;
    let feed = store.event_feed();
    let history = feed.recent(EVERYTHING).await.unwrap();
    let beyond = Position::new(history.head.revision + 1, 1);
    let followed = feed.follow(&history.epoch, beyond).await;
    assert!(matches!(followed.map(|_| ()), Err(FollowError::Lost)));
}

#[tokio::test]
async fn a_file_is_not_opened_twice_in_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = open(&path).unwrap();
    assert!(matches!(open(&path).map(|_| ()), Err(OpenError::InUse { .. })));
    append(&store, 1).await;
    assert_eq!(history(&store).await.len(), 1);
}

#[test]
fn a_file_in_use_by_another_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let (mut child, mut said) = child_on(&path);
    said.read_line(&mut String::new()).unwrap();
    let error = open(&path).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("is in use by another process"), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    open(&path).unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let mut acknowledged: Vec<String> = Vec::new();
    for kill_after in [1, 7, 50, 400] {
        let (mut child, mut said) = child_on(&path);
        let mut lines = String::new();
        for _ in 0..kill_after {
            said.read_line(&mut lines).unwrap();
        }
        child.kill().unwrap();
        said.read_to_string(&mut lines).unwrap();
        child.wait().unwrap();
        // The last line may have been cut short.
        let complete = lines.rfind('\n').map_or("", |end| &lines[..end]);
        acknowledged.extend(complete.lines().map(str::to_owned));
        let store = open(&path).unwrap();
        let stored = history(&store).await;
        let ids: Vec<String> = stored.iter().map(|event| event.event.id.to_string()).collect();
        let kept: Vec<&String> = ids.iter().filter(|id| acknowledged.contains(id)).collect();
        assert_eq!(kept, acknowledged.iter().collect::<Vec<_>>());
    }
}

/// Not a test of its own: the other process of the two tests above. Appends until it is killed and
/// says what was acknowledged.
#[tokio::test]
async fn child_appends_until_it_is_killed() {
    let Ok(path) = std::env::var(HELD) else { return };
    let store = open(Path::new(&path)).unwrap();
    let sender = ConnectionBuilder::guest().build();
    loop {
        let event = EventBuilder::from(&sender).broadcast("hi");
        let appended = store.event_repository().append(event).await.unwrap();
        writeln!(std::io::stdout().lock(), "{}", appended.event_id).unwrap();
    }
}

fn child_on(path: &Path) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_appends_until_it_is_killed", "--nocapture", "--quiet"])
        .env(HELD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
    // What the test harness says first.
    let mut line = String::new();
    while !line.contains("running 1 test") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "the child has ended");
    }
    (child, said)
}

/// Opens a damaged copy: it has to be refused, or hold everything.
async fn assert_refused_or_whole(path: &Path, expected: &[PositionedEvent], damage: &str) -> bool {
    match open(path) {
        Ok(store) => {
            assert_eq!(history(&store).await, expected, "{damage}");
            let listed =
                store.event_repository().list(EventType::Broadcast, 10_000).await.unwrap().events;
            assert!(listed.iter().rev().eq(expected), "{damage}");
            true
        }
        Err(error) => {
            assert!(matches!(error, OpenError::Damaged { .. }), "{damage}: {error}");
            // The attempt has not made another file of it.
            let again = open(path).map(|_| ());
            assert!(matches!(again, Err(OpenError::Damaged { .. })), "{damage}: {again:?}");
            false
        }
    }
}

/// The file of a store with some events as it is after a clean end and after a crash, and the
/// events.
async fn intact_files(path: &Path) -> ([Vec<u8>; 2], Vec<PositionedEvent>) {
    let store = open(path).unwrap();
    append(&store, 300).await;
    let events = history(&store).await;
    let crashed = std::fs::read(path).unwrap();
    store.close().await.unwrap();
    ([std::fs::read(path).unwrap(), crashed], events)
}

#[tokio::test]
async fn a_truncated_file_is_refused_or_recovered_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let (files, events) = intact_files(&path).await;
    for intact in files {
        let lengths = (0..intact.len()).step_by(intact.len() / 100).chain([1, 8, 64, 320, 4095]);
        for length in lengths {
            std::fs::write(&path, &intact[..length]).unwrap();
            assert_refused_or_whole(&path, &events, &format!("cut to {length}")).await;
        }
        std::fs::write(&path, &intact).unwrap();
        assert!(assert_refused_or_whole(&path, &events, "intact").await);
    }
}

/// One bit in a file is an exception: after a crash, the one that says which of the last two
/// commits is the last says so alone. (Byte 9, the lowest bit; not among those flipped here.)
#[tokio::test]
async fn a_file_with_a_flipped_bit_is_refused_or_recovered_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let (files, events) = intact_files(&path).await;
    for intact in files {
        let mut refused = 0;
        for offset in (0..320).step_by(3).chain((320..intact.len()).step_by(intact.len() / 150)) {
            let mut damaged = intact.clone();
            damaged[offset] ^= 1 << (offset % 8);
            std::fs::write(&path, &damaged).unwrap();
            let whole = assert_refused_or_whole(&path, &events, &format!("bit at {offset}")).await;
            refused += usize::from(!whole);
        }
        assert!(refused > 20, "{refused} were noticed");
    }
}

#[test]
fn a_file_that_was_never_a_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    for content in ["", "some notes", &"x".repeat(100_000)] {
        std::fs::write(&path, content).unwrap();
        let error = open(&path).map(|_| ()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("restore it from a backup"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), content.as_bytes());
    }
    let foreign = directory.path().join("foreign.redb");
    let database = redb::Database::create(&foreign).unwrap();
    database.close().unwrap();
    assert!(matches!(open(&foreign).map(|_| ()), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_file_that_cannot_be_created_is_said_to_be_inaccessible() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    for path in [directory.path().join("file/store.redb"), directory.path().to_owned()] {
        let error = open(&path).map(|_| ()).unwrap_err();
        assert!(matches!(error, OpenError::Inaccessible { .. }), "{error}");
        assert!(error.to_string().contains("embedded.path"), "{error}");
    }
}

#[test]
fn creating_a_store_leaves_nothing_but_the_store() {
    let directory = tempfile::tempdir().unwrap();
    open(&directory.path().join("store.redb")).unwrap();
    let names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["store.redb"]);
}
