//! What costs how much when there is a lot of it.
#![expect(clippy::print_stdout, reason = "shows what it measured")]

use bytesize::ByteSize;
use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use game_realtime_application::{panics::Watchdog, ports::EventRepository};
use game_realtime_contract::{ConnectionBuilder, EventBuilder, WallClock, keeping};
use game_realtime_domain::EventType;
use game_realtime_embedded_adapter::{Config, EmbeddedStore};
use tokio::time::Instant;

const MANY: usize = 200_000;
const LISTED: usize = 50;
const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_costs_what_it_returns_not_what_is_stored() {
    let config = Config {
        path: ":memory:".to_owned(),
        space_budget: ByteSize::gib(1),
        request_timeout: Duration::from_secs(30),
    };
    let options = keeping(DAY, 10_000, DAY);
    let store =
        EmbeddedStore::open(&config, options, Arc::new(WallClock), &Watchdog::new()).unwrap();
    let sender = ConnectionBuilder::player("alice").build();
    let purchase = EventBuilder::from(&sender).purchase("sword", 1);
    store.event_repository().append(purchase).await.unwrap();
    let events = store.event_repository();
    stream::iter(0..MANY)
        .map(|_| events.append(EventBuilder::from(&sender).broadcast("hi")))
        .buffer_unordered(2000)
        .for_each(|appended| async move {
            appended.expect("the event is appended");
        })
        .await;

    let started = Instant::now();
    assert_eq!(events.list(EventType::Broadcast, MANY).await.unwrap().events.len(), MANY);
    let all = started.elapsed();
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(events.list(EventType::Broadcast, LISTED).await.unwrap().events.len(), LISTED);
        // The only one of its type, and the oldest of all.
        assert_eq!(events.list(EventType::BuyGood, LISTED).await.unwrap().events.len(), 1);
        assert_eq!(events.list(EventType::SendMessage, LISTED).await.unwrap().events.len(), 0);
    }
    let few = started.elapsed() / 300;
    println!("listing {LISTED} of {MANY}: {few:?}, listing all: {all:?}");
    assert!(few * 200 < all, "a few took {few:?}, all took {all:?}");
}

/// A user repeats one request 1,600 times at once, again and again; another one sends one event at a
/// time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, in release mode"]
async fn repeats_in_flight_beside_another_player() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        path: directory.path().join("store.redb").to_str().unwrap().to_owned(),
        space_budget: ByteSize::gib(1),
        request_timeout: Duration::from_secs(30),
    };
    let options = keeping(DAY, 10_000, DAY);
    let store =
        EmbeddedStore::open(&config, options, Arc::new(WallClock), &Watchdog::new()).unwrap();
    let other = ConnectionBuilder::player("bob").build();
    for repeating in [false, true] {
        let events = store.event_repository();
        let repeats = tokio::spawn(async move {
            let sender = ConnectionBuilder::player("alice").build();
            let mut repeats = stream::repeat_with(|| {
                events.append(EventBuilder::from(&sender).request("r").broadcast("hi"))
            })
            .buffer_unordered(if repeating { 1600 } else { 1 });
            while repeating && repeats.next().await.is_some() {}
        });
        let mut latencies = Vec::new();
        for number in 0..2000 {
            let event = EventBuilder::from(&other).request(&format!("{repeating}-{number}"));
            let started = Instant::now();
            store.event_repository().append(event.broadcast("hi")).await.unwrap();
            latencies.push(started.elapsed());
        }
        repeats.abort();
        latencies.sort_unstable();
        println!("repeats: {repeating}: p50 {:?}, p99 {:?}", latencies[1000], latencies[1980]);
    }
}
