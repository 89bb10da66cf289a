//! What costs how much when there is a lot of it.

use std::{sync::Arc, time::Duration};

use game_realtime_application::ports::EventRepository;
use game_realtime_contract::{ConnectionBuilder, EventBuilder, WallClock};
use game_realtime_domain::EventType;
use game_realtime_embedded_adapter::{Config, EmbeddedStore, Options};
use tokio::{task::JoinSet, time::Instant};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_costs_what_it_returns_not_what_is_stored() {
    let config = Config { path: ":memory:".to_owned(), request_timeout: Duration::from_secs(30) };
    let options = Options { retention: DAY, kept_events: 10_000, idempotency_window: DAY };
    let store = EmbeddedStore::open(&config, options, Arc::new(WallClock)).unwrap();
    let sender = ConnectionBuilder::player("alice").build();
    let purchase = EventBuilder::from(&sender).purchase("sword", 1);
    store.event_repository().append(purchase).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..20_000 {
        let (events, event) = (store.event_repository(), EventBuilder::from(&sender));
        tasks.spawn(async move { events.append(event.broadcast("hi")).await.unwrap() });
    }
    tasks.join_all().await;

    let events = store.event_repository();
    let started = Instant::now();
    assert_eq!(events.list(EventType::Broadcast, 30_000).await.unwrap().len(), 20_000);
    let all = started.elapsed();
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(events.list(EventType::Broadcast, 10).await.unwrap().len(), 10);
        // The only one of its type, and the oldest of all.
        assert_eq!(events.list(EventType::BuyGood, 10).await.unwrap().len(), 1);
        assert_eq!(events.list(EventType::SendMessage, 10).await.unwrap().len(), 0);
    }
    let few = started.elapsed() / 300;
    assert!(few * 20 < all, "a few took {few:?}, all took {all:?}");
}
