//! The truth about this node's connections, by which etcd's copy is mended.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use game_realtime_domain::{Connection, ConnectionId};

use crate::{
    cluster::CallError,
    leases::{LeaseId, Leases},
};

#[derive(Default)]
pub(crate) struct LocalRegistry(Mutex<State>);

#[derive(Default)]
struct State {
    connections: HashMap<ConnectionId, Local>,
    /// Alive, but not in etcd, as far as is known.
    unregistered: HashSet<ConnectionId>,
    /// Ended, but perhaps still registered.
    leftovers: HashMap<ConnectionId, Connection>,
}

#[derive(Clone)]
pub(crate) struct Local {
    pub(crate) connection: Connection,
    pub(crate) lease: LeaseId,
    /// Whether etcd has confirmed its registration.
    registered: bool,
    /// The revision of its first registration, once etcd has confirmed it.
    since: Option<u64>,
}

impl LocalRegistry {
    /// Adds a connection, before it is registered.
    pub(crate) fn insert(&self, connection: Connection, lease: LeaseId) {
        let local = Local { connection, lease, registered: false, since: None };
        self.lock().connections.insert(local.connection.id, local);
    }

    /// Notes that etcd has a connection's registration, since a revision. Returns the connection
    /// if this was not known of it.
    pub(crate) fn registered(&self, id: ConnectionId, revision: u64) -> Option<Connection> {
        let mut state = self.lock();
        let local = state.connections.get_mut(&id)?;
        local.registered = true;
        // Lost leases do not make it younger; an etcd that was restored counts anew.
        let known = local.since.is_some_and(|since| since <= revision);
        if known {
            return None;
        }
        local.since = Some(revision);
        Some(local.connection.clone())
    }

    /// The connections that etcd has known, with the revision since when.
    pub(crate) fn select(&self, wanted: impl Fn(&Connection, u64) -> bool) -> Vec<ConnectionId> {
        let state = self.lock();
        let is_wanted =
            |local: &&Local| local.since.is_some_and(|it| wanted(&local.connection, it));
        state.connections.values().filter(is_wanted).map(|local| local.connection.id).collect()
    }

    /// Forgets a connection; it stays a leftover until [`cleaned`](Self::cleaned).
    pub(crate) fn end(&self, connection: &Connection) -> Option<Local> {
        let mut state = self.lock();
        state.leftovers.insert(connection.id, connection.clone());
        state.connections.remove(&connection.id)
    }

    /// Notes that etcd has nothing of a connection any more.
    pub(crate) fn cleaned(&self, id: ConnectionId) {
        self.lock().leftovers.remove(&id);
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<Local> {
        self.lock().connections.get(&id).cloned()
    }

    /// What is known of a connection that is alive, or has ended and is perhaps still registered.
    pub(crate) fn known(&self, id: ConnectionId) -> Option<Connection> {
        let state = self.lock();
        let alive = state.connections.get(&id).map(|local| &local.connection);
        alive.or_else(|| state.leftovers.get(&id)).cloned()
    }

    /// The connections on a lease that etcd has confirmed.
    pub(crate) fn registered_on(&self, lease: LeaseId) -> Vec<Connection> {
        let state = self.lock();
        let on_it = state.connections.values().filter(|it| it.registered && it.lease == lease);
        on_it.map(|local| local.connection.clone()).collect()
    }

    /// Notes that what hung on leases that are no longer held is not in etcd. Returns how many
    /// connections are not.
    pub(crate) fn note_lost(&self, leases: &Leases) -> usize {
        let held: HashSet<_> = leases.held().into_iter().collect();
        let mut state = self.lock();
        let State { connections, unregistered, .. } = &mut *state;
        for local in connections.values_mut().filter(|local| !held.contains(&local.lease)) {
            local.registered = false;
            unregistered.insert(local.connection.id);
        }
        unregistered.len()
    }

    /// Gives every connection that lost its lease another one.
    pub(crate) async fn assign_leases(&self, leases: &Leases) -> Result<(), CallError> {
        let unregistered: Vec<_> = self.lock().unregistered.iter().copied().collect();
        for id in unregistered {
            let Some(lost) = self.get(id).map(|local| local.lease) else { continue };
            if leases.holds(lost) {
                continue;
            }
            let lease = leases.assign().await?;
            match self.lock().connections.get_mut(&id) {
                Some(local) if local.lease == lost => local.lease = lease,
                // It ended, or somebody else was faster.
                Some(_) | None => leases.release(lease),
            }
        }
        Ok(())
    }

    /// Takes some of the connections that have to be written again.
    pub(crate) fn take_unregistered(&self, limit: usize) -> Vec<Connection> {
        let mut state = self.lock();
        let State { connections, unregistered, .. } = &mut *state;
        unregistered.retain(|id| connections.contains_key(id));
        let ids: Vec<_> = unregistered.iter().copied().take(limit).collect();
        ids.into_iter()
            .filter(|id| unregistered.remove(id))
            .filter_map(|id| connections.get(&id))
            .map(|local| local.connection.clone())
            .collect()
    }

    /// Notes that a connection still has to be written again.
    pub(crate) fn still_unregistered(&self, id: ConnectionId) {
        self.lock().unregistered.insert(id);
    }

    /// Some of the connections that have ended and are perhaps still registered.
    pub(crate) fn leftovers(&self, limit: usize) -> Vec<Connection> {
        self.lock().leftovers.values().take(limit).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
