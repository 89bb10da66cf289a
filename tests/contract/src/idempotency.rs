//! The promises of [`EventRepository`] about repeats.
//!
//! [`EventRepository`]: game_realtime_application::ports::EventRepository

use std::sync::Arc;

use game_realtime_application::ports::{AppendError, Appended};
use game_realtime_domain::{Author, ConnectionId, EventType, Namespace};

use crate::{
    ConnectionBuilder, EventBuilder, Stores,
    connection_repository::confusable_user_ids,
    event_repository::{alice, ids, list},
    user_id,
};

/// A repeat is recognised, and changes nothing.
pub async fn appending_a_request_id_again_returns_the_first_event(stores: &Stores) {
    let sender = alice();
    let first = stores.append(EventBuilder::from(&sender).request("r").broadcast("hi")).await;
    stores.append(EventBuilder::from(&sender).broadcast("between")).await;
    for _ in 0..2 {
        let again = stores.append(EventBuilder::from(&sender).request("r").broadcast("hi")).await;
        assert_eq!(again, Appended { duplicate: true, ..first.clone() });
    }
    assert_eq!(list(stores, EventType::Broadcast).await.len(), 2);
}

/// A repeat from another connection of the same player is a repeat.
pub async fn a_request_id_is_shared_by_all_connections_of_a_player(stores: &Stores) {
    let first = stores.append(EventBuilder::from(&alice()).request("r").broadcast("hi")).await;
    let again = stores.append(EventBuilder::from(&alice()).request("r").broadcast("hi")).await;
    assert_eq!(again, Appended { duplicate: true, ..first });
}

/// A repeat with another payload is a mistake.
pub async fn appending_a_request_id_with_another_payload_is_a_conflict(stores: &Stores) {
    let sender = alice();
    let first = stores.append(EventBuilder::from(&sender).request("r").broadcast("hi")).await;
    for other in [
        EventBuilder::from(&sender).request("r").broadcast("ho"),
        EventBuilder::from(&sender).request("r").message("bob", "hi"),
    ] {
        let refused = stores.events.append(other).await;
        assert!(matches!(refused, Err(AppendError::IdempotencyConflict)), "{refused:?}");
    }
    assert_eq!(list(stores, EventType::Broadcast).await.len(), 1);
    assert_eq!(list(stores, EventType::SendMessage).await, []);
    let again = stores.append(EventBuilder::from(&sender).request("r").broadcast("hi")).await;
    assert_eq!(again, Appended { duplicate: true, ..first });
}

/// Of many that race, one wins and all learn which.
pub async fn of_50_parallel_appends_of_one_request_one_is_committed(stores: &Stores) {
    let sender = alice();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let event = EventBuilder::from(&sender).request("r").broadcast("hi");
        let events = Arc::clone(&stores.events);
        tasks.spawn(async move { (event.event.id, events.append(event).await.unwrap()) });
    }
    let answers = tasks.join_all().await;
    let (own_id, winner) = answers.iter().find(|(_, appended)| !appended.duplicate).unwrap();
    assert_eq!(winner.event_id, *own_id);
    assert_eq!(answers.iter().filter(|(_, appended)| appended.duplicate).count(), 49);
    for (_, appended) in &answers {
        assert_eq!(*appended, Appended { duplicate: appended.duplicate, ..winner.clone() });
    }
    let listed = list(stores, EventType::Broadcast).await;
    assert_eq!(ids(&listed), [winner.event_id]);
}

/// Repeats that wait together, from several connections and among other events of the same player:
/// one is the first, all get its answer, and the others are not held up or lost.
pub async fn repeats_in_flight_among_other_events_share_one_event(stores: &Stores) {
    let connections = [alice(), alice(), alice()];
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let builder = EventBuilder::from(&connections[number % 3]);
        let (repeat, event) = if number % 2 == 0 {
            (true, builder.request("r").message("bob", "hi"))
        } else {
            (false, builder.request(&number.to_string()).broadcast("hi"))
        };
        let events = Arc::clone(&stores.events);
        tasks.spawn(async move { (repeat, events.append(event).await.unwrap()) });
    }
    let (repeats, others): (Vec<_>, Vec<_>) =
        tasks.join_all().await.into_iter().partition(|(repeat, _)| *repeat);
    let (_, first) = repeats.iter().find(|(_, answer)| !answer.duplicate).unwrap();
    assert_eq!(repeats.iter().filter(|(_, answer)| answer.duplicate).count(), 99);
    for (_, answer) in &repeats {
        assert_eq!(*answer, Appended { duplicate: answer.duplicate, ..first.clone() });
    }
    assert!(others.iter().all(|(_, answer)| !answer.duplicate));
    assert_eq!(ids(&list(stores, EventType::SendMessage).await), [first.event_id]);
    assert_eq!(list(stores, EventType::Broadcast).await.len(), 100);
}

/// Of many different payloads that race for one key, one wins and the others are refused.
pub async fn of_20_parallel_payloads_for_one_request_one_is_committed(stores: &Stores) {
    let sender = alice();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let event = EventBuilder::from(&sender).request("r").broadcast(&number.to_string());
        let events = Arc::clone(&stores.events);
        tasks.spawn(async move { events.append(event).await });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refused in answers.iter().filter(|answer| answer.is_err()) {
        assert!(matches!(refused, Err(AppendError::IdempotencyConflict)), "{refused:?}");
    }
    assert_eq!(list(stores, EventType::Broadcast).await.len(), 1);
}

/// Every player has their own request ids.
pub async fn request_ids_of_different_users_do_not_collide(stores: &Stores) {
    for id in confusable_user_ids() {
        let sender = ConnectionBuilder::player(&id).build();
        let appended = stores.append(EventBuilder::from(&sender).request("r").broadcast("x")).await;
        assert!(!appended.duplicate, "{id:?}");
    }
}

/// Request ids are compared character for character.
pub async fn request_ids_that_look_alike_are_different_requests(stores: &Stores) {
    let sender = alice();
    let mut request_ids: Vec<String> = [
        "r",
        "R",
        "r/",
        "/r",
        "r/s",
        "r%2Fs",
        "r%2fs",
        "r%252Fs",
        "r:s",
        "r s",
        "r ",
        " r",
        "r\0",
        "\0",
        "\0\0",
        "r\0s",
        "r\n",
        "é",
        "e\u{301}",
        "🎲",
        "\u{ffff}",
        "\u{10ffff}",
        "..",
        "%",
    ]
    .map(str::to_owned)
    .into();
    request_ids.extend(["x", "é", "🎲"].map(|character| character.repeat(64)));
    request_ids.extend(["x", "é", "🎲"].map(|character| character.repeat(63)));
    let mut first = Vec::new();
    for id in &request_ids {
        let appended = stores.append(EventBuilder::from(&sender).request(id).broadcast(id)).await;
        assert!(!appended.duplicate, "{id:?}");
        first.push(appended);
    }
    for (id, first) in request_ids.iter().zip(first) {
        let again = stores.append(EventBuilder::from(&sender).request(id).broadcast(id)).await;
        assert_eq!(again, Appended { duplicate: true, ..first }, "{id:?}");
    }
}

/// Where the user id ends and the request id begins is never in doubt.
pub async fn user_and_request_id_do_not_run_into_each_other(stores: &Stores) {
    for (user, request) in [
        ("a", "b/c"),
        ("a/b", "c"),
        ("a/b/c", "d"),
        ("a", "b/c/d"),
        ("ab", "c"),
        ("a", "bc"),
        ("a:b", "c"),
        ("a", "b:c"),
        ("a", "\0b"),
        ("a\u{a0}", "b"),
        ("a%", "2Fb"),
        ("a%2F", "b"),
    ] {
        let sender = ConnectionBuilder::player(user).build();
        let event = EventBuilder::from(&sender).request(request).broadcast("same");
        assert!(!stores.append(event).await.duplicate, "{user:?} {request:?}");
    }
}

/// A guest is known by its connection alone.
pub async fn a_guests_request_ids_belong_to_its_connection(stores: &Stores) {
    let (one, other) = (ConnectionBuilder::guest().build(), ConnectionBuilder::guest().build());
    let first = stores.append(EventBuilder::from(&one).request("r").broadcast("hi")).await;
    let others = stores.append(EventBuilder::from(&other).request("r").broadcast("hi")).await;
    assert!(!others.duplicate);
    let again = stores.append(EventBuilder::from(&one).request("r").broadcast("hi")).await;
    assert_eq!(again, Appended { duplicate: true, ..first });
}

/// A player may be called like a connection.
pub async fn a_player_named_like_a_connection_is_not_that_guest(stores: &Stores) {
    let guest = ConnectionBuilder::guest().build();
    for event in [
        EventBuilder::from(&guest),
        EventBuilder::from(&ConnectionBuilder::player(&guest.id.to_string()).build()),
        EventBuilder::from(&ConnectionBuilder::player(&guest.id.0.simple().to_string()).build()),
    ] {
        assert!(!stores.append(event.request("r").broadcast("hi")).await.duplicate);
    }
}

/// What an operator sends for a player is what the player sends.
pub async fn a_request_id_is_shared_with_who_speaks_for_the_player(stores: &Stores) {
    let (sender, alice) = (alice(), user_id("alice"));
    let first = stores.append(EventBuilder::from(&sender).request("r").broadcast("hi")).await;
    let spoken_for = || EventBuilder::of(Author::User(&alice)).request("r");
    let again = stores.append(spoken_for().broadcast("hi")).await;
    assert_eq!(again, Appended { duplicate: true, ..first });
    let refused = stores.events.append(spoken_for().broadcast("ho")).await;
    assert!(matches!(refused, Err(AppendError::IdempotencyConflict)), "{refused:?}");
}

/// The system is neither a player nor a guest, whatever they are called.
pub async fn the_systems_request_ids_are_its_own(stores: &Stores) {
    let system = || EventBuilder::of(Author::System(Namespace::Private)).request("r");
    let first = stores.append(system().broadcast("hi")).await;
    assert!(!first.duplicate);
    for sender in ["system", "s", &ConnectionId::NONE.to_string()]
        .map(|name| ConnectionBuilder::player(name).build())
        .into_iter()
        .chain([ConnectionBuilder::guest().build()])
    {
        let appended =
            stores.append(EventBuilder::from(&sender).request("r").broadcast("hi")).await;
        assert!(!appended.duplicate, "{:?}", sender.user_id);
    }
    let again = stores.append(system().broadcast("hi")).await;
    assert_eq!(again, Appended { duplicate: true, ..first });
}

/// To another namespace it is another request.
pub async fn the_systems_request_id_holds_for_one_namespace(stores: &Stores) {
    let to = |namespace| EventBuilder::of(Author::System(namespace)).request("r").broadcast("hi");
    stores.append(to(Namespace::Private)).await;
    let refused = stores.events.append(to(Namespace::Guest)).await;
    assert!(matches!(refused, Err(AppendError::IdempotencyConflict)), "{refused:?}");
}

/// Stamps this suite: see [`contract!`](crate::contract).
#[macro_export]
macro_rules! idempotency_contract {
    ($stores:expr) => {
        $crate::stamp! { $stores, idempotency:
            appending_a_request_id_again_returns_the_first_event,
            a_request_id_is_shared_by_all_connections_of_a_player,
            appending_a_request_id_with_another_payload_is_a_conflict,
            of_50_parallel_appends_of_one_request_one_is_committed,
            repeats_in_flight_among_other_events_share_one_event,
            of_20_parallel_payloads_for_one_request_one_is_committed,
            request_ids_of_different_users_do_not_collide,
            request_ids_that_look_alike_are_different_requests,
            user_and_request_id_do_not_run_into_each_other,
            a_guests_request_ids_belong_to_its_connection,
            a_player_named_like_a_connection_is_not_that_guest,
            a_request_id_is_shared_with_who_speaks_for_the_player,
            the_systems_request_ids_are_its_own,
            the_systems_request_id_holds_for_one_namespace,
        }
    };
}
