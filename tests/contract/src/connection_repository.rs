//! The promises of [`ConnectionRepository`].
//!
//! [`ConnectionRepository`]: game_realtime_application::ports::ConnectionRepository

use game_realtime_domain::{Connection, ConnectionId, Namespace};

use crate::{ConnectionBuilder, Stores, unique_id, user_id};

/// More than any test saves.
const ALL: usize = 1000;

/// User ids that a careless key would confuse.
pub(crate) fn confusable_user_ids() -> Vec<String> {
    let mut ids: Vec<String> = [
        "a",
        "A",
        "a/",
        "/a",
        "a/b",
        "a%2Fb",
        "a%2fb",
        "a%252Fb",
        "a//b",
        "a b",
        "a+b",
        "a%20b",
        "a:b",
        "a|b",
        "a\\b",
        "a\"b",
        "a.b",
        "..",
        ".",
        "%",
        "%%",
        "é",
        "e\u{301}",
        "É",
        "🎲",
        "日本",
        "*",
        "a\u{ffff}",
        "a\u{10ffff}",
        "null",
        "\u{2028}",
    ]
    .map(str::to_owned)
    .into();
    ids.extend(["x", "é", "🎲"].map(|character| character.repeat(128)));
    ids.extend(["x", "é", "🎲"].map(|character| character.repeat(127)));
    ids.push(format!("{}y", "x".repeat(127)));
    ids
}

/// What was saved is found, unchanged.
pub async fn a_saved_connection_is_found_by_id_namespace_and_user(stores: &Stores) {
    for connection in
        [ConnectionBuilder::player("alice").build(), ConnectionBuilder::guest().build()]
    {
        stores.save(&connection).await;
        assert_everywhere(stores, &connection).await;
    }
}

/// What nobody saved is not there.
pub async fn an_unknown_connection_is_absent_not_an_error(stores: &Stores) {
    assert_eq!(stores.connections.get(ConnectionId(unique_id())).await.unwrap(), None);
    for namespace in Namespace::ALL {
        assert!(list(stores, namespace).await.is_empty());
    }
    assert!(
        stores.connections.list_by_user(&user_id("nobody"), None, ALL).await.unwrap().is_empty()
    );
}

/// What was deleted is found nowhere, and nothing else is gone.
pub async fn a_deleted_connection_is_found_nowhere(stores: &Stores) {
    let leaving = ConnectionBuilder::player("alice").build();
    let staying = ConnectionBuilder::player("alice").build();
    stores.save(&leaving).await;
    stores.save(&staying).await;
    stores.delete(&leaving).await;
    assert_nowhere(stores, &leaving).await;
    assert_everywhere(stores, &staying).await;
}

/// Deleting is idempotent.
pub async fn deleting_a_connection_twice_is_no_error(stores: &Stores) {
    let connection = ConnectionBuilder::guest().build();
    stores.delete(&connection).await;
    stores.save(&connection).await;
    stores.delete(&connection).await;
    stores.delete(&connection).await;
    assert_nowhere(stores, &connection).await;
}

/// Saving is idempotent.
pub async fn saving_a_connection_twice_registers_it_once(stores: &Stores) {
    let connection = ConnectionBuilder::player("alice").build();
    stores.save(&connection).await;
    stores.save(&connection).await;
    assert_everywhere(stores, &connection).await;
    let by_user = stores.connections.list_by_user(&user_id("alice"), None, ALL).await.unwrap();
    assert_eq!(by_user, std::slice::from_ref(&connection));
    stores.delete(&connection).await;
    assert_nowhere(stores, &connection).await;
}

/// A connection can come back under its id.
pub async fn a_connection_can_be_saved_again_after_its_deletion(stores: &Stores) {
    let connection = ConnectionBuilder::player("alice").build();
    stores.save(&connection).await;
    stores.delete(&connection).await;
    stores.save(&connection).await;
    assert_everywhere(stores, &connection).await;
}

/// The namespaces do not mix.
pub async fn a_namespace_lists_only_its_own_connections(stores: &Stores) {
    let player = ConnectionBuilder::player("alice").build();
    let guest = ConnectionBuilder::guest().build();
    stores.save(&player).await;
    stores.save(&guest).await;
    assert_eq!(list(stores, Namespace::Private).await, [player]);
    assert_eq!(list(stores, Namespace::Guest).await, [guest]);
}

/// Lists go by ascending id and stop at the limit.
pub async fn lists_go_by_ascending_id_and_stop_at_the_limit(stores: &Stores) {
    let saved = save_players(stores, 12).await;
    let alice = user_id("alice");
    for limit in [0, 1, 5, 12, 13] {
        let expected: Vec<_> = saved.iter().take(limit).cloned().collect();
        let by_namespace =
            stores.connections.list_by_namespace(Namespace::Private, None, limit).await.unwrap();
        assert_eq!(by_namespace, expected, "by namespace, at most {limit}");
        let by_user = stores.connections.list_by_user(&alice, None, limit).await.unwrap();
        assert_eq!(by_user, expected, "by user, at most {limit}");
    }
}

/// Pages join without a hole or a repetition, even where the last one seen has gone.
pub async fn paging_through_a_namespace_visits_every_connection_once(stores: &Stores) {
    let saved = save_players(stores, 25).await;
    let mut visited: Vec<Connection> = Vec::new();
    loop {
        let after = visited.last().map(|connection| connection.id);
        let page =
            stores.connections.list_by_namespace(Namespace::Private, after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        stores.delete(last).await;
        visited.extend(page);
    }
    assert_eq!(visited, saved);
}

/// The same for a player.
pub async fn paging_through_a_player_visits_every_connection_once(stores: &Stores) {
    let saved = save_players(stores, 25).await;
    stores.save(&ConnectionBuilder::player("bob").build()).await;
    let alice = user_id("alice");
    let mut visited: Vec<Connection> = Vec::new();
    loop {
        let after = visited.last().map(|connection| connection.id);
        let page = stores.connections.list_by_user(&alice, after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        stores.delete(last).await;
        visited.extend(page);
    }
    assert_eq!(visited, saved);
}

/// Who comes and goes meanwhile leaves no holes: fewer than asked for are all there are.
pub async fn a_page_is_full_while_connections_come_and_go(stores: &Stores) {
    save_players(stores, 30).await;
    let connections = stores.connections.clone();
    let comings_and_goings = tokio::spawn(async move {
        loop {
            let passing: Vec<_> =
                (0..10).map(|_| ConnectionBuilder::player("alice").build()).collect();
            for connection in &passing {
                connections.save(connection).await.unwrap();
            }
            for connection in &passing {
                connections.delete(connection).await.unwrap();
            }
            // A store in memory never waits, and what never waits cannot be aborted.
            tokio::task::yield_now().await;
        }
    });
    let alice = user_id("alice");
    for _ in 0..100 {
        let by_user = stores.connections.list_by_user(&alice, None, 30).await.unwrap();
        assert_eq!(by_user.len(), 30);
        let by_namespace = stores.connections.list_by_namespace(Namespace::Private, None, 30);
        assert_eq!(by_namespace.await.unwrap().len(), 30);
    }
    comings_and_goings.abort();
}

/// Who is who depends on every character.
pub async fn user_ids_that_look_alike_are_different_users(stores: &Stores) {
    let mut saved = Vec::new();
    for id in confusable_user_ids() {
        let connection = ConnectionBuilder::player(&id).build();
        stores.save(&connection).await;
        saved.push((id, connection));
    }
    for (id, connection) in &saved {
        let found = stores.connections.list_by_user(&user_id(id), None, ALL).await.unwrap();
        assert_eq!(found, std::slice::from_ref(connection), "{id:?}");
    }
    assert_eq!(list(stores, Namespace::Private).await.len(), saved.len());
    for (id, connection) in &saved {
        stores.delete(connection).await;
        assert_eq!(stores.connections.list_by_user(&user_id(id), None, ALL).await.unwrap(), []);
    }
    assert_eq!(list(stores, Namespace::Private).await, []);
}

/// Many at once do not disturb each other.
pub async fn connections_saved_and_deleted_at_once_leave_exactly_those_that_stay(stores: &Stores) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let connections = stores.connections.clone();
        tasks.spawn(async move {
            let connection = ConnectionBuilder::player("alice").build();
            connections.save(&connection).await.unwrap();
            if number % 2 == 0 {
                connections.delete(&connection).await.unwrap();
                None
            } else {
                Some(connection)
            }
        });
    }
    let mut staying: Vec<Connection> = tasks.join_all().await.into_iter().flatten().collect();
    staying.sort_by_key(|connection| connection.id);
    assert_eq!(list(stores, Namespace::Private).await, staying);
    let by_user = stores.connections.list_by_user(&user_id("alice"), None, ALL).await.unwrap();
    assert_eq!(by_user, staying);
}

async fn list(stores: &Stores, namespace: Namespace) -> Vec<Connection> {
    stores.connections.list_by_namespace(namespace, None, ALL).await.unwrap()
}

/// Saves connections of "alice"; returns them by ascending id.
async fn save_players(stores: &Stores, count: usize) -> Vec<Connection> {
    let mut saved: Vec<_> =
        (0..count).map(|_| ConnectionBuilder::player("alice").build()).collect();
    for connection in &saved {
        stores.save(connection).await;
    }
    saved.sort_by_key(|connection| connection.id);
    saved
}

async fn assert_everywhere(stores: &Stores, connection: &Connection) {
    assert_eq!(stores.connections.get(connection.id).await.unwrap().as_ref(), Some(connection));
    assert!(list(stores, connection.namespace).await.contains(connection));
    if let Some(user_id) = &connection.user_id {
        let by_user = stores.connections.list_by_user(user_id, None, ALL).await.unwrap();
        assert!(by_user.contains(connection));
    }
}

async fn assert_nowhere(stores: &Stores, connection: &Connection) {
    assert_eq!(stores.connections.get(connection.id).await.unwrap(), None);
    assert!(!list(stores, connection.namespace).await.contains(connection));
    if let Some(user_id) = &connection.user_id {
        let by_user = stores.connections.list_by_user(user_id, None, ALL).await.unwrap();
        assert!(!by_user.contains(connection));
    }
}

/// Stamps this suite: see [`contract!`](crate::contract).
#[macro_export]
macro_rules! connection_repository_contract {
    ($stores:expr) => {
        $crate::stamp! { $stores, connection_repository:
            a_saved_connection_is_found_by_id_namespace_and_user,
            an_unknown_connection_is_absent_not_an_error,
            a_deleted_connection_is_found_nowhere,
            deleting_a_connection_twice_is_no_error,
            saving_a_connection_twice_registers_it_once,
            a_connection_can_be_saved_again_after_its_deletion,
            a_namespace_lists_only_its_own_connections,
            lists_go_by_ascending_id_and_stop_at_the_limit,
            paging_through_a_namespace_visits_every_connection_once,
            paging_through_a_player_visits_every_connection_once,
            a_page_is_full_while_connections_come_and_go,
            user_ids_that_look_alike_are_different_users,
            connections_saved_and_deleted_at_once_leave_exactly_those_that_stay,
        }
    };
}
