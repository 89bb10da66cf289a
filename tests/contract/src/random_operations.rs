//! A random sequence of operations, done to a store and to a model that is too simple to be wrong.
//!
//! The seed is printed; `CONTRACT_SEED` sets it.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
};

use game_realtime_application::{
    NewEvent, PositionedEvent, Scope,
    ports::{AppendError, Appended},
};
use game_realtime_domain::{Connection, ConnectionId, EventType, Namespace, RequestId, UserId};
use uuid::Uuid;

use crate::{ConnectionBuilder, EventBuilder, Stores, event_repository::positioned, user_id};

const STEPS: usize = 400;
const USERS: [&str; 4] = ["alice", "alice/bob", "alice%2Fbob", "é🎲"];

/// A store and the model agree on every answer.
pub async fn a_store_does_what_the_model_does(stores: &Stores) {
    let mut random = Random::new();
    let mut model = Model::default();
    let mut follower = stores.follow().await;
    let senders: Vec<Connection> = (0..10).map(|_| random.connection()).collect();
    for _ in 0..STEPS {
        let connection = &senders[random.below(senders.len())];
        match random.below(10) {
            0 | 1 => {
                stores.save(connection).await;
                model.connections.insert(connection.id, connection.clone());
            }
            2 => {
                stores.delete(connection).await;
                model.connections.remove(&connection.id);
            }
            3..=6 => {
                let event = random.event(connection);
                let answer = stores.events.append(event.clone()).await;
                model.append(&event, answer);
            }
            7 => {
                let event_type = EventType::ALL[random.below(EventType::ALL.len())];
                let limit = random.below(12);
                let listed = stores.events.list(event_type, limit).await.unwrap().events;
                assert_eq!(listed, model.list(event_type, limit));
            }
            8 => {
                let after = (random.below(2) == 0).then_some(connection.id);
                let limit = random.below(12);
                let namespace = connection.namespace;
                let listed =
                    stores.connections.list_by_namespace(namespace, after, limit).await.unwrap();
                assert_eq!(listed, model.list_by_namespace(namespace, after, limit));
            }
            _ => {
                let found = stores.connections.get(connection.id).await.unwrap();
                assert_eq!(found.as_ref(), model.connections.get(&connection.id));
                let user = user_id(USERS[random.below(USERS.len())]);
                let limit = random.below(12);
                let after = (random.below(2) == 0).then_some(connection.id);
                let listed = stores.connections.list_by_user(&user, after, limit).await.unwrap();
                assert_eq!(listed, model.list_by_user(&user, after, limit));
            }
        }
    }
    assert_eq!(stores.history().await.events, model.events);
    assert_eq!(follower.events(model.events.len()).await, model.events);
}

/// What a store should hold.
#[derive(Default)]
struct Model {
    events: Vec<PositionedEvent>,
    receipts: HashMap<(Scope, RequestId), (Uuid, Appended)>,
    connections: BTreeMap<ConnectionId, Connection>,
}

impl Model {
    fn append(&mut self, event: &NewEvent, answer: Result<Appended, AppendError>) {
        let present = event.presence_of.as_ref().map(|user| {
            u64::try_from(self.list_by_user(user, None, usize::MAX).len()).expect("a small number")
        });
        let key = event.receipt.as_ref().map(|receipt| {
            ((receipt.scope.clone(), receipt.request_id.clone()), receipt.fingerprint)
        });
        if let Some((key, fingerprint)) = &key
            && let Some((first_fingerprint, first)) = self.receipts.get(key)
        {
            if first_fingerprint == fingerprint {
                let again =
                    Appended { duplicate: true, recipient_connections: present, ..first.clone() };
                assert_eq!(answer.expect("a repeat"), again);
            } else {
                assert!(matches!(answer, Err(AppendError::IdempotencyConflict)), "{answer:?}");
            }
            return;
        }
        let appended = answer.expect("the event is appended");
        assert_eq!(appended.event_id, event.event.id);
        assert_eq!(appended.created_at, event.event.created_at);
        assert!(!appended.duplicate);
        assert_eq!(appended.recipient_connections, present);
        self.events.push(positioned(event, &appended));
        if let Some((key, fingerprint)) = key {
            self.receipts.insert(key, (fingerprint, appended));
        }
    }

    fn list(&self, event_type: EventType, limit: usize) -> Vec<PositionedEvent> {
        let newest_first = self.events.iter().rev();
        newest_first
            .filter(|event| event.event.payload.event_type == event_type)
            .take(limit)
            .cloned()
            .collect()
    }

    fn list_by_namespace(
        &self,
        namespace: Namespace,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Vec<Connection> {
        let all = self.connections.values();
        all.filter(|connection| {
            connection.namespace == namespace && after.is_none_or(|after| connection.id > after)
        })
        .take(limit)
        .cloned()
        .collect()
    }

    fn list_by_user(
        &self,
        user: &UserId,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Vec<Connection> {
        let all = self.connections.values();
        all.filter(|connection| {
            connection.user_id.as_ref() == Some(user)
                && after.is_none_or(|after| connection.id > after)
        })
        .take(limit)
        .cloned()
        .collect()
    }
}

/// A xorshift generator (Marsaglia 2003): repeatable, and that is all it has to be.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = match std::env::var("CONTRACT_SEED") {
            Ok(seed) => seed.parse().expect("CONTRACT_SEED is a number"),
            Err(_) => RandomState::new().hash_one(()),
        };
        eprintln!("CONTRACT_SEED={seed}");
        Self(seed.max(1))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 32) % bound as u64).expect("a small number")
    }

    fn connection(&mut self) -> Connection {
        let user = self.below(USERS.len() + 1);
        USERS
            .get(user)
            .map_or_else(ConnectionBuilder::guest, |user| ConnectionBuilder::player(user))
            .build()
    }

    fn event(&mut self, sender: &Connection) -> NewEvent {
        let mut event = EventBuilder::from(sender);
        if self.below(2) == 0 {
            event = event.request(&self.below(6).to_string());
        }
        // Few payloads, so that there are repeats and conflicts.
        match self.below(4) {
            0 => event.broadcast("hi"),
            1 => event.purchase("sword", 1),
            _ => event.message(USERS[self.below(USERS.len())], "hi"),
        }
    }
}

/// Stamps this suite: see [`contract!`](crate::contract).
#[macro_export]
macro_rules! random_operations_contract {
    ($stores:expr) => {
        $crate::stamp! { $stores, random_operations:
            a_store_does_what_the_model_does,
        }
    };
}
