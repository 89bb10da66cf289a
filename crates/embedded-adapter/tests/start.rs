//! How long a store takes to start when there is a lot in it.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "shows what it measured")]

use std::{path::Path, sync::Arc, time::Duration};

use bytesize::ByteSize;
use futures_util::{StreamExt, stream};
use game_realtime_application::{
    TimelineLimits,
    panics::Watchdog,
    ports::{EventFeed, EventRepository},
};
use game_realtime_contract::{ConnectionBuilder, EventBuilder, WallClock, keeping, unique_id};
use game_realtime_embedded_adapter::{Config, EmbeddedStore};
use tokio::time::Instant;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// What the server asks for by default.
const WINDOW: TimelineLimits =
    TimelineLimits { age: Duration::from_secs(600), events: 10_000, bytes: 256 * 1024 * 1024 };

fn open(path: &Path) -> EmbeddedStore {
    let config = Config {
        path: path.to_str().unwrap().to_owned(),
        space_budget: ByteSize::gib(16),
        request_timeout: Duration::from_secs(60),
    };
    let retention = keeping(DAY, 10_000, DAY);
    EmbeddedStore::open(&config, retention, Arc::new(WallClock), &Watchdog::new()).unwrap()
}

/// `EVENTS` sets another number of events, `REQUESTS` that of those of ten that have a `request_id`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes, and has to be run in release mode"]
async fn a_store_with_two_million_events_starts_within_three_seconds() {
    let number = |name, default| std::env::var(name).map_or(default, |n| n.parse().unwrap());
    let (events, requests) = (number("EVENTS", 2_000_000), number("REQUESTS", 1));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = open(&path);
    let (log, sender) = (store.event_repository(), ConnectionBuilder::player("alice").build());
    let text = "x".repeat(80);
    let started = Instant::now();
    stream::iter(0..events)
        .map(|number| {
            let mut event = EventBuilder::from(&sender);
            if number % 10 < requests {
                event = event.request(&unique_id().to_string());
            }
            log.append(event.broadcast(&text))
        })
        .buffer_unordered(2000)
        .for_each(|appended| async move { drop(appended.unwrap()) })
        .await;
    println!("{events} events in {:?}", started.elapsed());
    // As a crash leaves it.
    let crashed = directory.path().join("crashed.redb");
    std::fs::copy(&path, &crashed).unwrap();
    std::fs::File::open(&crashed).unwrap().sync_all().unwrap();
    store.close().await.unwrap();
    drop((store, log));
    for path in [path, crashed] {
        let length = std::fs::metadata(&path).unwrap().len();
        let started = Instant::now();
        let store = open(&path);
        let opened = started.elapsed();
        let history = store.event_feed().recent(WINDOW).await.unwrap();
        let ready = started.elapsed();
        let events = history.events.len();
        println!("{}: open {opened:?}, {events} events {ready:?}", ByteSize::b(length));
        assert!(ready < Duration::from_secs(3), "{ready:?}");
    }
}
