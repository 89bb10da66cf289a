//! The one store that all nodes share: what it has committed, and what it forgets.

mod feed;
mod link;
mod log;
mod writer;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard},
};

use game_realtime_application::{
    EncodedPayload, NewEvent, PositionedEvent, Scope,
    ports::{AppendError, Appended, StoreError},
};
use game_realtime_domain::{
    Connection, ConnectionId, Cursor, Epoch, Event, EventId, EventType, Namespace, NodeId,
    Position, Recipient, RequestId, Route, Sender, Timestamp, UserId,
};
use tokio::sync::Notify;
use uuid::Uuid;

pub(crate) use feed::Feed;
pub(crate) use link::Link;
pub(crate) use log::Entry;

/// What the store answers to a request it could not serve.
pub(crate) fn unavailable() -> StoreError {
    StoreError::unavailable("no answer")
}

pub(crate) struct Store {
    state: Mutex<State>,
    /// Something was committed, or a link changed.
    pub(crate) changed: Notify,
}

pub(crate) struct State {
    pub(crate) epoch: Epoch,
    pub(crate) revision: u64,
    /// Everything that was ever committed, also what the store has let go of since: this is what
    /// clients are measured by.
    pub(crate) log: Vec<Entry>,
    /// How many entries at the beginning the store has let go of.
    pub(crate) pruned: usize,
    receipts: HashMap<(Scope, RequestId), (Uuid, usize)>,
    pub(crate) registry: BTreeMap<ConnectionId, Connection>,
    /// Whose connections are to be ended, and when that was ordered.
    pub(crate) orders: Vec<(Recipient, u64)>,
}

impl Store {
    pub(crate) fn new() -> Self {
        let state = State {
            epoch: Epoch::parse("simulated").unwrap(),
            revision: 0,
            log: Vec::new(),
            pruned: 0,
            receipts: HashMap::new(),
            registry: BTreeMap::new(),
            orders: Vec::new(),
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Drops what a node registered, because its lease is gone.
    pub(crate) fn expire(&self, node_id: NodeId) {
        self.state().registry.retain(|_, connection| connection.node_id != node_id);
    }

    /// Begins a transaction.
    pub(crate) fn transaction(&self) -> Transaction<'_> {
        let mut state = self.state();
        state.revision += 1;
        Transaction { store: self, state, index: 0 }
    }
}

impl State {
    /// The first position after which the store has everything.
    pub(crate) fn floor(&self) -> Position {
        self.pruned.checked_sub(1).map_or(Position::START, |last| self.log[last].event.position)
    }

    /// The index of the first event after a position.
    pub(crate) fn index_after(&self, position: Position) -> usize {
        self.log.partition_point(|entry| entry.event.position <= position)
    }

    pub(crate) fn cursor(&self, position: Position) -> Cursor {
        Cursor { epoch: self.epoch.clone(), position }
    }
}

/// Operations that are committed together, under one revision.
pub(crate) struct Transaction<'a> {
    store: &'a Store,
    state: MutexGuard<'a, State>,
    index: u32,
}

impl Transaction<'_> {
    pub(crate) fn append(&mut self, new: &NewEvent) -> Result<Appended, AppendError> {
        let state = &mut *self.state;
        let presence = |user_id: &UserId| {
            let is = |connection: &&Connection| connection.user_id.as_ref() == Some(user_id);
            u64::try_from(state.registry.values().filter(is).count()).unwrap()
        };
        let recipient_connections = new.presence_of.as_ref().map(presence);
        let key = new.receipt.as_ref().map(|r| (r.scope.clone(), r.request_id.clone()));
        let known = key.as_ref().and_then(|key| state.receipts.get(key)).copied();
        let (index, duplicate) = match (known, &new.receipt) {
            (Some((fingerprint, _)), Some(receipt)) if fingerprint != receipt.fingerprint => {
                return Err(AppendError::IdempotencyConflict);
            }
            (Some((_, index)), _) => (index, true),
            (None, receipt) => {
                self.index += 1;
                let event = PositionedEvent {
                    position: Position::new(state.revision, self.index),
                    event: new.event.clone(),
                    route: new.route.clone(),
                    trace: new.trace,
                };
                let index = state.log.len();
                if let (Some(key), Some(receipt)) = (key, receipt) {
                    state.receipts.insert(key, (receipt.fingerprint, index));
                }
                state.log.push(Entry::new(event, new.receipt.clone()));
                (index, false)
            }
        };
        let PositionedEvent { position, event, .. } = &state.log[index].event;
        Ok(Appended {
            event_id: event.id,
            cursor: state.cursor(*position),
            created_at: event.created_at,
            duplicate,
            recipient_connections,
        })
    }

    /// Appends what no node of this version can read.
    pub(crate) fn append_unreadable(&mut self, id: Uuid) {
        self.index += 1;
        let event = PositionedEvent {
            position: Position::new(self.state.revision, self.index),
            event: Event {
                id: EventId(id),
                namespace: Namespace::Private,
                sender: Sender::SYSTEM,
                created_at: Timestamp::from_millis(0),
                payload: EncodedPayload {
                    event_type: EventType::Broadcast,
                    json: format!("unreadable {id}").into(),
                },
            },
            route: Route::Namespace(Namespace::Private),
            trace: None,
        };
        self.state.log.push(Entry::unreadable(event));
    }

    /// Orders that connections be ended. Returns how many there are.
    pub(crate) fn order(&mut self, target: &Recipient) -> u64 {
        let revision = self.state.revision;
        self.state.orders.push((target.clone(), revision));
        let concerned = self.state.registry.values().filter(|it| target.is(it)).count();
        u64::try_from(concerned).unwrap()
    }

    /// Returns since when it is registered.
    pub(crate) fn register(&mut self, connection: &Connection) -> u64 {
        self.state.registry.insert(connection.id, connection.clone());
        self.state.revision
    }

    pub(crate) fn unregister(&mut self, id: ConnectionId) {
        self.state.registry.remove(&id);
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        self.store.changed.notify_waiters();
    }
}
