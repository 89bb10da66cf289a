//! The promises of [`EventRepository`].
//!
//! [`EventRepository`]: game_realtime_application::ports::EventRepository

use std::{sync::Arc, task::Poll};

use game_realtime_application::{NewEvent, PositionedEvent, ports::Appended, trace::TraceContext};
use game_realtime_domain::{Author, Connection, ConnectionId, EventId, EventType, Namespace};
use uuid::Uuid;

use crate::{
    ConnectionBuilder, EventBuilder, Stores, connection_repository::confusable_user_ids, user_id,
};

/// More than any test appends.
const ALL: usize = 1000;

/// Payloads in which a store must not change a byte.
pub(crate) const PAYLOADS: [&str; 6] = [
    r#"{"message":"hi"}"#,
    r#"{"message":"\u0000\u00e9é\ud83c\udfb2🎲\"\\\/\n"}"#,
    r#"{"z":1,"a":2,"z":3}"#,
    r#"{"n":9007199254740993,"f":1.10,"e":1E+2,"m":-0}"#,
    "{}",
    r#"{"nested":{"list":[[],{},null,true]}}"#,
];

/// The answer tells of this very event.
pub async fn an_append_answers_with_its_own_event(stores: &Stores) {
    let event = EventBuilder::from(&alice()).broadcast("hi");
    let appended = stores.append(event.clone()).await;
    assert_eq!(appended.event_id, event.event.id);
    assert_eq!(appended.created_at, event.event.created_at);
    assert!(!appended.duplicate);
    assert_eq!(appended.recipient_connections, None);
}

/// Without a receipt there are no repeats.
pub async fn an_event_without_receipt_is_always_appended(stores: &Stores) {
    let sender = alice();
    for _ in 0..3 {
        let appended = stores.append(EventBuilder::from(&sender).broadcast("same")).await;
        assert!(!appended.duplicate);
    }
    assert_eq!(list(stores, EventType::Broadcast).await.len(), 3);
}

/// Newest first, and no more than asked for.
pub async fn list_returns_the_newest_first_up_to_the_limit(stores: &Stores) {
    let sender = alice();
    let mut newest_first = Vec::new();
    for number in 0..10 {
        let event = EventBuilder::from(&sender).broadcast(&number.to_string());
        newest_first.insert(0, stores.append(event).await.event_id);
    }
    for limit in [0, 1, 3, 10, 11] {
        let listed = stores.events.list(EventType::Broadcast, limit).await.unwrap().events;
        let expected: Vec<_> = newest_first.iter().take(limit).copied().collect();
        assert_eq!(ids(&listed), expected, "at most {limit}");
    }
}

/// The types do not mix.
pub async fn list_returns_only_events_of_the_type(stores: &Stores) {
    let sender = alice();
    for event_type in EventType::ALL {
        assert_eq!(list(stores, event_type).await, []);
    }
    for _ in 0..3 {
        stores.append(EventBuilder::from(&sender).broadcast("hi")).await;
        stores.append(EventBuilder::from(&sender).message("bob", "hi")).await;
        stores.append(EventBuilder::from(&sender).purchase("sword", 1)).await;
    }
    for event_type in EventType::ALL {
        let listed = list(stores, event_type).await;
        assert_eq!(listed.len(), 3);
        assert!(listed.iter().all(|event| event.event.payload.event_type == event_type));
    }
}

/// What comes back is what went in, to the byte.
pub async fn a_listed_event_is_what_was_appended(stores: &Stores) {
    for (sender, json) in senders().iter().cycle().zip(PAYLOADS) {
        let event = EventBuilder::from(sender).request("r").encoded(json);
        let appended = stores.append(event.clone()).await;
        let listed = stores.events.list(EventType::Broadcast, 1).await.unwrap().events;
        assert_eq!(listed, [positioned(&event, &appended)]);
    }
    let sender = alice();
    for event in [
        EventBuilder::from(&sender).message("bob", "hi"),
        EventBuilder::from(&sender).message("alice", "note to self"),
        EventBuilder::from(&sender).purchase("sword", i64::MAX),
        EventBuilder::of(Author::User(&user_id("alice"))).purchase("sword", 1),
        EventBuilder::of(Author::System(Namespace::Private)).message("bob", "hi"),
        EventBuilder::of(Author::System(Namespace::Guest)).broadcast("hi"),
    ] {
        let appended = stores.append(event.clone()).await;
        let listed = stores.events.list(event.event.payload.event_type, 1).await.unwrap().events;
        assert_eq!(listed, [positioned(&event, &appended)]);
    }
}

/// Whoever goes on with an event goes on with its trace; one that is not traced brings none.
pub async fn the_trace_of_an_event_is_read_with_it(stores: &Stores) {
    let mut follower = stores.follow().await;
    let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse();
    let context: TraceContext = context.expect("a context");
    for (trace, request) in [(Some(context), None), (Some(context), Some("r")), (None, None)] {
        let mut event = EventBuilder::from(&alice());
        event = request.into_iter().fold(event, EventBuilder::request);
        let mut event = event.broadcast("hi");
        event.trace = trace;
        stores.append(event).await;
        let listing = stores.events.list(EventType::Broadcast, 1).await.unwrap();
        for read in [listing.events, follower.events(1).await] {
            let traces: Vec<_> = read.iter().map(|event| event.trace).collect();
            assert_eq!(traces, [trace]);
        }
    }
}

/// The cursors that were answered are of the history that a listing names.
pub async fn a_listing_names_the_epoch_of_the_cursors(stores: &Stores) {
    let before = stores.events.list(EventType::Broadcast, 1).await.unwrap();
    let appended = stores.append(EventBuilder::from(&alice()).broadcast("hi")).await;
    let listing = stores.events.list(EventType::Broadcast, 1).await.unwrap();
    assert_eq!((&before.epoch, &listing.epoch), (&appended.cursor.epoch, &appended.cursor.epoch));
}

/// A large payload is as good as a small one.
pub async fn a_payload_of_64_kibibytes_is_kept(stores: &Stores) {
    let event = EventBuilder::from(&alice()).broadcast(&"x".repeat(64 * 1024));
    let appended = stores.append(event.clone()).await;
    let listed = list(stores, EventType::Broadcast).await;
    assert_eq!(listed, [positioned(&event, &appended)]);
}

/// What was answered can be listed at once.
pub async fn an_answered_event_is_listed_at_once(stores: &Stores) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let events = Arc::clone(&stores.events);
        tasks.spawn(async move {
            let id = events.append(EventBuilder::from(&alice()).broadcast("hi")).await;
            let listed = events.list(EventType::Broadcast, ALL).await.unwrap().events;
            assert!(ids(&listed).contains(&id.unwrap().event_id));
        });
    }
    tasks.join_all().await;
}

/// Later in the order means a greater position.
pub async fn cursors_grow_with_every_event_of_one_epoch(stores: &Stores) {
    let sender = alice();
    let mut last = stores.append(EventBuilder::from(&sender).broadcast("hi")).await.cursor;
    for _ in 0..10 {
        let next = stores.append(EventBuilder::from(&sender).purchase("sword", 1)).await.cursor;
        assert_eq!(next.epoch, last.epoch);
        assert!(next.position > last.position, "{next} comes after {last}");
        last = next;
    }
}

/// The order of first polls is the order of commits, even for a caller that then waits for the
/// last one first. So many that they fill queues and exceed tokio's cooperative budget; a store may
/// refuse some.
pub async fn appends_commit_in_the_order_in_which_they_were_first_polled(stores: &Stores) {
    let sender = alice();
    let mut appends: Vec<_> = (0..3000)
        .map(|number| EventBuilder::from(&sender).broadcast(&number.to_string()))
        .map(|event| Box::pin(stores.events.append(event)))
        .collect();
    let mut answers: Vec<_> = appends.iter().map(|_| Poll::Pending).collect();
    std::future::poll_fn(|context| {
        for (append, answer) in appends.iter_mut().zip(&mut answers) {
            *answer = append.as_mut().poll(context);
        }
        Poll::Ready(())
    })
    .await;
    std::future::poll_fn(|context| {
        for (append, answer) in appends.iter_mut().zip(&mut answers).rev() {
            if answer.is_pending() {
                *answer = append.as_mut().poll(context);
            }
        }
        if answers.iter().all(Poll::is_ready) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let mut committed = Vec::new();
    for answer in answers {
        if let Poll::Ready(Ok(appended)) = answer {
            committed.push(appended);
        }
    }
    assert!(committed.len() > 500, "{} were committed", committed.len());
    let in_order = committed.windows(2).all(|pair| {
        let [earlier, later] = pair else { return true };
        earlier.cursor.position < later.cursor.position
    });
    assert!(in_order, "what was polled first is committed first");
}

/// A caller that loses interest does not disturb the others.
pub async fn an_append_that_is_dropped_does_not_disturb_the_others(stores: &Stores) {
    let sender = alice();
    for number in 0..20 {
        let mut dropped =
            Box::pin(stores.events.append(EventBuilder::from(&sender).broadcast("dropped")));
        std::future::poll_fn(|context| Poll::Ready(dropped.as_mut().poll(context).is_ready()))
            .await;
        drop(dropped);
        let kept = EventBuilder::from(&sender).purchase("kept", number + 1);
        stores.append(kept).await;
    }
    assert_eq!(list(stores, EventType::BuyGood).await.len(), 20);
}

/// What `event` has to be once it is committed.
pub(crate) fn positioned(event: &NewEvent, appended: &Appended) -> PositionedEvent {
    PositionedEvent {
        position: appended.cursor.position,
        event: event.event.clone(),
        route: event.route.clone(),
        trace: event.trace,
    }
}

/// A player, a guest, and players whose ids need care.
pub(crate) fn senders() -> Vec<Connection> {
    let mut senders = vec![alice(), ConnectionBuilder::guest().build()];
    senders.extend(confusable_user_ids().iter().map(|id| ConnectionBuilder::player(id).build()));
    let mut extreme = ConnectionBuilder::guest().build();
    extreme.id = ConnectionId(Uuid::max());
    senders.push(extreme);
    senders
}

pub(crate) fn alice() -> Connection {
    ConnectionBuilder::player("alice").build()
}

pub(crate) fn ids(events: &[PositionedEvent]) -> Vec<EventId> {
    events.iter().map(|event| event.event.id).collect()
}

pub(crate) async fn list(stores: &Stores, event_type: EventType) -> Vec<PositionedEvent> {
    stores.events.list(event_type, ALL).await.unwrap().events
}

/// Stamps this suite: see [`contract!`](crate::contract).
#[macro_export]
macro_rules! event_repository_contract {
    ($stores:expr) => {
        $crate::stamp! { $stores, event_repository:
            an_append_answers_with_its_own_event,
            an_event_without_receipt_is_always_appended,
            list_returns_the_newest_first_up_to_the_limit,
            list_returns_only_events_of_the_type,
            a_listed_event_is_what_was_appended,
            the_trace_of_an_event_is_read_with_it,
            a_listing_names_the_epoch_of_the_cursors,
            a_payload_of_64_kibibytes_is_kept,
            an_answered_event_is_listed_at_once,
            cursors_grow_with_every_event_of_one_epoch,
            appends_commit_in_the_order_in_which_they_were_first_polled,
            an_append_that_is_dropped_does_not_disturb_the_others,
        }
    };
}
