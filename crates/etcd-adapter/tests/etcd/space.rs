//! etcd stays within its budget, however much is written and for however long.

use std::{sync::Arc, time::Duration};

use bytesize::ByteSize;
use futures_util::{StreamExt, stream};
use game_realtime_application::{
    panics::Watchdog,
    ports::{Clock, EventRepository},
};
use game_realtime_contract::{ConnectionBuilder, EventBuilder, ManualClock, WallClock, at_least};
use game_realtime_domain::EventType;
use game_realtime_etcd_adapter::{Config, EtcdStore};
use tokio::time::{Instant, sleep};

use crate::support::{Following, Member, Raw, config, node, options, until};

const BUDGET: u64 = 24 << 20;

fn small_budget(endpoint: &str) -> Config {
    Config {
        space_budget: ByteSize::b(BUDGET),
        compaction_interval: Duration::from_secs(2),
        ..config(endpoint)
    }
}

/// Appends for a while, and looks at etcd's file meanwhile. Returns how many events, and the largest
/// sizes of the file and of what is in use.
async fn flood(
    events: &dyn EventRepository,
    raw: &Raw,
    time: Duration,
    first_request: impl Into<Option<usize>>,
) -> (usize, i64, i64) {
    let first_request = first_request.into();
    let alice = ConnectionBuilder::player("alice").build();
    let started = Instant::now();
    let text = "x".repeat(600);
    let mut number = 0;
    let mut largest = (0, 0);
    while started.elapsed() < time {
        let appends = (number..number + 1000).map(|number| {
            let event = EventBuilder::from(&alice);
            let event = match first_request {
                Some(first) => event.request(&format!("request {:040}", first + number)),
                None => event,
            };
            events.append(if number % 50 == 0 {
                event.purchase("sword", 1)
            } else {
                event.broadcast(&text)
            })
        });
        stream::iter(appends)
            .buffered(200)
            .for_each(|appended| async move {
                appended.expect("nothing is refused");
            })
            .await;
        number += 1000;
        let (file, in_use) = raw.sizes().await;
        largest = (largest.0.max(file), largest.1.max(in_use));
    }
    (number, largest.0, largest.1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_turns_over_within_the_budget_and_purchases_go_last() {
    let etcd = Member::start(&[]).await;
    let config = small_budget(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let store = node(&config, options(), Arc::new(WallClock));
    let following = Following::start(&store).await;
    let (events, file, in_use) = flood(&*store.events(), &raw, Duration::from_secs(40), None).await;
    let written = events * 750;
    println!(
        "{events} events, {} times the budget; at most {} MiB of file and {} MiB in use",
        written / usize::try_from(BUDGET).expect("it fits"),
        file >> 20,
        in_use >> 20
    );
    until("followers get everything", Duration::from_secs(10), || async {
        following.events() == events
    })
    .await;
    let budget = i64::try_from(BUDGET).expect("it fits");
    assert!(in_use <= budget * 2, "{in_use}");
    assert!(file <= budget * 5 / 2, "{file}");
    let purchases = store.events().list(EventType::BuyGood, usize::MAX).await.expect("listed");
    assert_eq!(purchases.events.len(), events / 50, "purchases go last");
    let recent =
        store.feed().recent(at_least(Duration::ZERO, 100)).await.expect("the feed is read");
    assert!(recent.events.len() >= 100);
    sleep(Duration::from_secs(5)).await;
    assert!(raw.sizes().await.1 <= budget);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_are_part_of_the_budget_once_they_are_minutes_old() {
    let etcd = Member::start(&[]).await;
    let config = small_budget(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let clock = Arc::new(ManualClock::new(WallClock.now()));
    let store = node(&config, options(), Arc::clone(&clock) as _);
    let _following = Following::start(&store).await;
    // Young ones stay, whatever that takes.
    let (young, ..) = flood(&*store.events(), &raw, Duration::from_secs(6), 0).await;
    assert_eq!(raw.count("receipts").await, young);
    clock.advance(Duration::from_secs(130));
    let (more, file, in_use) = flood(&*store.events(), &raw, Duration::from_secs(20), young).await;
    println!("{young} and {more} events, {} MiB of file, {} MiB in use", file >> 20, in_use >> 20);
    let budget = i64::try_from(BUDGET).expect("it fits");
    assert!(in_use <= budget * 2, "{in_use}");
    assert!(file <= budget * 5 / 2, "{file}");
    let receipts = raw.count("receipts").await;
    assert!((more..young + more).contains(&receipts), "{receipts} of {young} and {more}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_budget_nothing_goes_before_its_time() {
    let etcd = Member::start(&[]).await;
    let config = Config { space_budget: ByteSize::b(0), ..small_budget(&etcd.endpoint()) };
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let watchdog = Watchdog::new();
    let store = EtcdStore::start(&config, options(), Arc::new(WallClock), &watchdog);
    let store = store.expect("no files to read");
    let _following = Following::start(&store).await;
    let (events, ..) = flood(&*store.events(), &raw, Duration::from_secs(5), None).await;
    assert_eq!(raw.events().await, events);
    assert_eq!(watchdog.alarmed(), None, "every task goes on");
    store.close().await;
}
