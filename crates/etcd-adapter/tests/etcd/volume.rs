//! Listing does not get slower with what is stored, nor do answers get mixed up in large transactions.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt, stream};
use game_realtime_application::ports::{Appended, EventRepository};
use game_realtime_contract::{ConnectionBuilder, EventBuilder};
use game_realtime_domain::{Connection, ConnectionId, EventType, Namespace};
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::{Following, shared_etcd, store};

const FEW: usize = 200;
const MANY: usize = 200_000;
const LISTED: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listing_fifty_of_two_hundred_thousand_costs_what_fifty_of_two_hundred_do() {
    let store = store(&shared_etcd().await.endpoint());
    let _following = Following::start(&store).await;
    let events = store.events();
    fill(&*events, FEW).await;
    let among_few = median_listing(&*events).await;
    fill(&*events, MANY - FEW).await;
    let among_many = median_listing(&*events).await;
    println!("listing {LISTED}: {among_few:?} of {FEW}, {among_many:?} of {MANY}");
    // Reading everything would take a thousand times as long.
    assert!(among_many < among_few * 20, "{among_few:?} {among_many:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_transactions_of_events_with_receipts_are_answered_one_by_one() {
    const EVENTS: usize = 4000;
    let store = store(&shared_etcd().await.endpoint());
    let bob = ConnectionBuilder::player("bob").build();
    store.connections().save(&bob).await.expect("registered");
    let sender = ConnectionBuilder::player("alice").build();
    let append = async || {
        let message = |number: usize| {
            let event = EventBuilder::from(&sender).request(&format!("r{number}"));
            event.message("bob", "hi")
        };
        let events = store.events();
        let appends = (0..EVENTS).map(|number| events.append(message(number)));
        stream::iter(appends)
            .buffered(2000)
            .map(|it| it.expect("appended"))
            .collect::<Vec<_>>()
            .await
    };
    let first: Vec<_> = append().await;
    assert!(first.iter().all(|it| !it.duplicate && it.recipient_connections == Some(1)));
    assert!(first.is_sorted_by_key(|it| it.cursor.position));
    // The same again: every answer belongs to its event.
    let again: Vec<_> = append().await;
    for (first, again) in first.iter().zip(&again) {
        assert!(again.duplicate);
        assert_eq!((again.event_id, &again.cursor), (first.event_id, &first.cursor));
    }
    let largest = largest_transaction(&first);
    println!("{largest} events in the largest transaction");
    assert!(largest > 128, "{largest}: the test is about transactions beyond etcd's limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_thirty_thousand_connections_costs_what_one_of_three_hundred_does() {
    const PAGE: usize = 50;
    let store = store(&shared_etcd().await.endpoint());
    let connections = store.connections();
    // One every ten milliseconds, with ids as nodes make them: the time, then chance.
    let connection = |number: u128| {
        let id = ((1_795_000_000_000 + 10 * number) << 80)
            | ConnectionBuilder::guest().build().id.0.as_u128() >> 48;
        Connection { id: ConnectionId(Uuid::from_u128(id)), ..ConnectionBuilder::guest().build() }
    };
    let save = async |numbers: std::ops::Range<u128>| {
        let saved = stream::iter(numbers).map(|number| {
            let connections = &connections;
            async move { connections.save(&connection(number)).await.expect("saved") }
        });
        saved.buffer_unordered(2000).collect::<Vec<()>>().await;
    };
    let after = connection(100).id;
    let median_page = async || {
        let mut times = Vec::new();
        for _ in 0..21 {
            let started = Instant::now();
            let listed = connections.list_by_namespace(Namespace::Guest, Some(after), PAGE).await;
            times.push(started.elapsed());
            assert_eq!(listed.expect("listed").len(), PAGE);
        }
        times.sort_unstable();
        times[times.len() / 2]
    };
    save(0..300).await;
    let among_few = median_page().await;
    save(300..30_000).await;
    let among_many = median_page().await;
    println!("a page of {PAGE}: {among_few:?} of 300, {among_many:?} of 30000");
    // Visiting every key would take ten times as long.
    assert!(among_many < among_few * 4, "{among_few:?} {among_many:?}");
}

fn largest_transaction(appended: &[Appended]) -> usize {
    let mut sizes = HashMap::<u64, usize>::new();
    for it in appended {
        *sizes.entry(it.cursor.position.revision).or_default() += 1;
    }
    sizes.into_values().max().unwrap_or_default()
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
        let listed =
            events.list(EventType::Broadcast, LISTED).await.expect("the log is listed").events;
        times.push(started.elapsed());
        assert_eq!(listed.len(), LISTED);
        assert!(listed.is_sorted_by(|newer, older| newer.position > older.position));
    }
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_are_listed_first_even_of_those_committed_together() {
    let store = store(&shared_etcd().await.endpoint());
    let _following = Following::start(&store).await;
    let events = store.events();
    fill(&*events, 2000).await;
    let all = events.list(EventType::Broadcast, 2000).await.expect("the log is listed").events;
    let newest = events.list(EventType::Broadcast, LISTED).await.expect("the log is listed").events;
    let together = all.iter().filter(|event| event.position.revision == all[0].position.revision);
    assert!(together.count() > 2 * LISTED, "nothing is shown by transactions that are small");
    assert_eq!(newest, all[..LISTED]);
}
