//! Who is connected to the only node, in memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use game_realtime_domain::{Connection, ConnectionId, Namespace, Recipient, UserId};

/// The connections and their indexes, changed and read under one lock.
#[derive(Default)]
pub(crate) struct Registry(Mutex<Entries>);

/// What the registry holds, while it is locked.
#[derive(Default)]
pub(crate) struct Entries {
    by_id: BTreeMap<ConnectionId, Connection>,
    by_namespace: BTreeSet<(Namespace, ConnectionId)>,
    by_user: HashMap<UserId, Vec<ConnectionId>>,
}

impl Registry {
    /// Waits for the lock, which nobody holds for long.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    pub(crate) fn save(&mut self, connection: &Connection) {
        self.delete(connection.id);
        self.by_namespace.insert((connection.namespace, connection.id));
        if let Some(user_id) = &connection.user_id {
            let ids = self.by_user.entry(user_id.clone()).or_insert_with(|| Vec::with_capacity(1));
            if let Err(place) = ids.binary_search(&connection.id) {
                ids.insert(place, connection.id);
            }
        }
        self.by_id.insert(connection.id, connection.clone());
    }

    pub(crate) fn delete(&mut self, id: ConnectionId) {
        let Some(connection) = self.by_id.remove(&id) else { return };
        self.by_namespace.remove(&(connection.namespace, id));
        if let Some(user_id) = &connection.user_id
            && let Some(ids) = self.by_user.get_mut(user_id)
        {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_user.remove(user_id);
            }
        }
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<Connection> {
        self.by_id.get(&id).cloned()
    }

    pub(crate) fn list_by_namespace(
        &self,
        namespace: Namespace,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Vec<Connection> {
        let start = match after {
            Some(after) => Bound::Excluded((namespace, after)),
            None => Bound::Included((namespace, ConnectionId(uuid::Uuid::nil()))),
        };
        self.by_namespace
            .range((start, Bound::Unbounded))
            .take_while(|(of, _)| *of == namespace)
            .filter_map(|(_, id)| self.get(*id))
            .take(limit)
            .collect()
    }

    pub(crate) fn list_by_user(
        &self,
        user_id: &UserId,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Vec<Connection> {
        let ids = self.by_user.get(user_id).map_or(&[][..], Vec::as_slice);
        let start = after.map_or(0, |after| ids.partition_point(|id| *id <= after));
        ids.iter().skip(start).filter_map(|id| self.get(*id)).take(limit).collect()
    }

    /// The connections of an addressee.
    pub(crate) fn of(&self, recipient: &Recipient) -> Vec<ConnectionId> {
        match recipient {
            Recipient::User(user_id) => self.by_user.get(user_id).cloned().unwrap_or_default(),
            Recipient::Connection(id) => {
                self.by_id.contains_key(id).then_some(*id).into_iter().collect()
            }
        }
    }

    /// How many connections a player has.
    pub(crate) fn count(&self, user_id: &UserId) -> u64 {
        self.by_user.get(user_id).map_or(0, |ids| ids.len() as u64)
    }
}
