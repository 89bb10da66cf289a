//! The promises of [`KickOrders`].
//!
//! [`KickOrders`]: game_realtime_application::ports::KickOrders

use std::{collections::BTreeSet, future::poll_fn, pin::pin, task::Poll, time::Duration};

use game_realtime_domain::{Connection, ConnectionId, Namespace, Recipient};
use tokio::time::timeout;

use crate::{
    ConnectionBuilder, Stores, connection_repository::confusable_user_ids, unique_id, user_id,
};

/// A player is all their connections.
pub async fn a_kicked_players_connections_are_named_and_no_others(stores: &Stores) {
    let alices = save_all(stores, "alice", 3).await;
    save_all(stores, "bob", 2).await;
    stores.save(&ConnectionBuilder::guest().build()).await;
    assert_eq!(give(stores, &player("alice")).await, 3);
    assert_eq!(named_until_marked(stores).await, ids(&alices));
}

/// A connection is itself alone, a guest's or one of a player's many.
pub async fn a_kicked_connection_is_named_alone(stores: &Stores) {
    let alices = save_all(stores, "alice", 3).await;
    let guest = ConnectionBuilder::guest().build();
    stores.save(&guest).await;
    stores.save(&ConnectionBuilder::guest().build()).await;
    assert_eq!(give(stores, &Recipient::Connection(alices[1].id)).await, 1);
    assert_eq!(give(stores, &Recipient::Connection(guest.id)).await, 1);
    assert_eq!(named_until_marked(stores).await, BTreeSet::from([alices[1].id, guest.id]));
}

/// Nobody is no error.
pub async fn kicking_who_is_not_connected_names_nobody(stores: &Stores) {
    save_all(stores, "alice", 1).await;
    assert_eq!(give(stores, &player("nobody")).await, 0);
    assert_eq!(give(stores, &Recipient::Connection(ConnectionId(unique_id()))).await, 0);
    assert_eq!(named_until_marked(stores).await, BTreeSet::new());
}

/// The answer is honest.
pub async fn an_order_counts_the_connections_of_its_moment(stores: &Stores) {
    for present in 0..3 {
        assert_eq!(give(stores, &player("alice")).await, present);
        save_all(stores, "alice", 1).await;
    }
    for connection in stores.connections.list_by_user(&user_id("alice"), None, 10).await.unwrap() {
        stores.delete(&connection).await;
    }
    assert_eq!(give(stores, &player("alice")).await, 0);
}

/// Who comes back is another connection.
pub async fn who_is_saved_after_an_order_is_not_named(stores: &Stores) {
    let alices = save_all(stores, "alice", 2).await;
    give(stores, &player("alice")).await;
    save_all(stores, "alice", 2).await;
    assert_eq!(named_until_marked(stores).await, ids(&alices));
    for connection in &alices {
        stores.delete(connection).await;
    }
    save_all(stores, "alice", 2).await;
    assert!(named_until_marked(stores).await.is_subset(&ids(&alices)));
}

/// An order that is given again concerns those who came meanwhile.
pub async fn an_order_given_again_concerns_who_came_meanwhile(stores: &Stores) {
    let before = save_all(stores, "alice", 1).await;
    give(stores, &player("alice")).await;
    let between = save_all(stores, "alice", 2).await;
    give(stores, &player("alice")).await;
    save_all(stores, "alice", 1).await;
    let both: Vec<_> = before.into_iter().chain(between).collect();
    assert_eq!(named_until_marked(stores).await, ids(&both));
}

/// Nobody slips through, however they come, and nobody is taken who came later.
pub async fn an_order_amid_a_crowd_is_sharp(stores: &Stores) {
    const ROUNDS: usize = 20;
    const CROWD: usize = 20;
    let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..ROUNDS {
        let arriving: Vec<_> =
            (0..CROWD).map(|_| ConnectionBuilder::player("alice").build()).collect();
        let (begin, ordering) = tokio::sync::watch::channel(0);
        let mut tasks = tokio::task::JoinSet::new();
        for (number, connection) in arriving.into_iter().enumerate() {
            let (connections, mut ordering) = (stores.connections.clone(), ordering.clone());
            tasks.spawn(async move {
                // Some before the order, some at the same time, some after it.
                ordering.wait_for(|stage| *stage >= number % 3).await.unwrap();
                connections.save(&connection).await.unwrap();
                (number % 3, connection.id)
            });
        }
        let mut early = 0;
        while early < CROWD.div_ceil(3) {
            let (stage, id) = tasks.join_next().await.unwrap().unwrap();
            assert_eq!(stage, 0);
            before.insert(id);
            early += 1;
        }
        begin.send(1).unwrap();
        give(stores, &player("alice")).await;
        begin.send(2).unwrap();
        while let Some(saved) = tasks.join_next().await {
            let (stage, id) = saved.unwrap();
            if stage == 2 {
                after.insert(id);
            }
        }
        let named = named_until_marked(stores).await;
        let missed: Vec<_> = before.difference(&named).collect();
        assert!(missed.is_empty(), "{missed:?} were there before the order");
        let taken: Vec<_> = after.intersection(&named).collect();
        assert!(taken.is_empty(), "{taken:?} came after the order");
        for namespace in Namespace::ALL {
            for connection in
                stores.connections.list_by_namespace(namespace, None, 1000).await.unwrap()
            {
                stores.delete(&connection).await;
            }
        }
        before.clear();
        after.clear();
    }
}

/// Who is who depends on every character.
pub async fn players_who_look_alike_are_kicked_apart(stores: &Stores) {
    let mut saved = Vec::new();
    for id in confusable_user_ids() {
        saved.push((id.clone(), save_all(stores, &id, 1).await));
    }
    for (id, connection) in saved {
        assert_eq!(give(stores, &player(&id)).await, 1, "{id:?}");
        let named = named_until_marked(stores).await;
        assert!(named.contains(&connection[0].id), "{id:?}");
        for connection in &connection {
            stores.delete(connection).await;
        }
        assert!(named.len() == 1, "{id:?}: {named:?}");
    }
}

/// Whoever stops waiting and waits again misses nothing.
pub async fn dropping_the_wait_loses_nobody(stores: &Stores) {
    let waiting = async || {
        let mut next = pin!(stores.kicks.next());
        poll_fn(|context| Poll::Ready(next.as_mut().poll(context).is_ready())).await
    };
    assert!(!waiting().await, "nobody is kicked yet");
    let alices = save_all(stores, "alice", 2).await;
    give(stores, &player("alice")).await;
    let mut named = BTreeSet::new();
    while !ids(&alices).is_subset(&named) {
        let some = timeout(Duration::from_micros(100), stores.kicks.next()).await;
        named.extend(some.unwrap_or_default());
    }
    assert_eq!(named, ids(&alices));
}

fn player(name: &str) -> Recipient {
    Recipient::User(user_id(name))
}

fn ids(connections: &[Connection]) -> BTreeSet<ConnectionId> {
    connections.iter().map(|connection| connection.id).collect()
}

async fn save_all(stores: &Stores, name: &str, count: usize) -> Vec<Connection> {
    let mut saved = Vec::new();
    for _ in 0..count {
        let connection = ConnectionBuilder::player(name).build();
        stores.save(&connection).await;
        saved.push(connection);
    }
    saved
}

async fn give(stores: &Stores, target: &Recipient) -> u64 {
    stores.kicks.give(target).await.expect("the order is given")
}

/// All who are named before a last order is heard, without whom that one concerns.
async fn named_until_marked(stores: &Stores) -> BTreeSet<ConnectionId> {
    let marker = ConnectionBuilder::guest().build();
    stores.save(&marker).await;
    give(stores, &Recipient::Connection(marker.id)).await;
    let mut named = BTreeSet::new();
    while !named.remove(&marker.id) {
        named.extend(stores.kicks.next().await);
    }
    stores.delete(&marker).await;
    named
}

/// Stamps this suite: see [`contract!`](crate::contract).
#[macro_export]
macro_rules! kick_orders_contract {
    ($stores:expr) => {
        $crate::stamp! { $stores, kick_orders:
            a_kicked_players_connections_are_named_and_no_others,
            a_kicked_connection_is_named_alone,
            kicking_who_is_not_connected_names_nobody,
            an_order_counts_the_connections_of_its_moment,
            who_is_saved_after_an_order_is_not_named,
            an_order_given_again_concerns_who_came_meanwhile,
            an_order_amid_a_crowd_is_sharp,
            players_who_look_alike_are_kicked_apart,
            dropping_the_wait_loses_nobody,
        }
    };
}
