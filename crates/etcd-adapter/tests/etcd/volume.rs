//! Listing does not get slower with what is stored.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use game_realtime_application::ports::EventRepository;
use game_realtime_contract::{ConnectionBuilder, EventBuilder};
use game_realtime_domain::EventType;
use tokio::time::Instant;

use crate::support::{shared_etcd, store};

const FEW: usize = 200;
const MANY: usize = 200_000;
const LISTED: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listing_fifty_of_two_hundred_thousand_costs_what_fifty_of_two_hundred_do() {
    let store = store(&shared_etcd().await.endpoint());
    let events = store.events();
    fill(&*events, FEW).await;
    let among_few = median_listing(&*events).await;
    fill(&*events, MANY - FEW).await;
    let among_many = median_listing(&*events).await;
    println!("listing {LISTED}: {among_few:?} of {FEW}, {among_many:?} of {MANY}");
    // Reading everything would take a thousand times as long.
    assert!(among_many < among_few * 20, "{among_few:?} {among_many:?}");
}

async fn fill(events: &dyn EventRepository, count: usize) {
    let sender = ConnectionBuilder::player("alice").build();
    stream::iter(0..count)
        .map(|_| events.append(EventBuilder::from(&sender).broadcast("hi")))
        .buffer_unordered(2000)
        .for_each(|appended| async move {
            appended.expect("the event is appended");
        })
        .await;
}

async fn median_listing(events: &dyn EventRepository) -> Duration {
    let mut times = Vec::new();
    for _ in 0..21 {
        let started = Instant::now();
        let listed = events.list(EventType::Broadcast, LISTED).await.expect("the log is listed");
        times.push(started.elapsed());
        assert_eq!(listed.len(), LISTED);
        assert!(listed.is_sorted_by(|newer, older| newer.position > older.position));
    }
    times.sort_unstable();
    times[times.len() / 2]
}
