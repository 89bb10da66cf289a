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
    /// Alive, but lost from etcd with their lease.
    unregistered: HashSet<ConnectionId>,
    /// Ended, but perhaps still registered.
    leftovers: HashMap<ConnectionId, Connection>,
}

#[derive(Clone)]
pub(crate) struct Local {
    pub(crate) connection: Connection,
    pub(crate) lease: LeaseId,
}

impl LocalRegistry {
    pub(crate) fn insert(&self, local: Local) {
        self.lock().connections.insert(local.connection.id, local);
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

    /// Notes that what hung on a lease is no longer in etcd.
    pub(crate) fn lease_lost(&self, lease: LeaseId) {
        let mut state = self.lock();
        let lost: Vec<_> = state
            .connections
            .values()
            .filter(|local| local.lease == lease)
            .map(|local| local.connection.id)
            .collect();
        state.unregistered.extend(lost);
    }

    /// Gives every connection that lost its lease another one.
    pub(crate) async fn assign_leases(&self, leases: &Leases) -> Result<(), CallError> {
        let unregistered: Vec<_> = self.lock().unregistered.iter().copied().collect();
        for id in unregistered {
            let current = self.get(id).map(|local| local.lease);
            if current.is_some_and(|lease| leases.holds(lease)) {
                continue;
            }
            let lease = leases.assign().await?;
            match self.lock().connections.get_mut(&id) {
                Some(local) => local.lease = lease,
                None => leases.release(lease),
            }
        }
        Ok(())
    }

    /// Takes the connections that have to be written again.
    pub(crate) fn take_unregistered(&self) -> Vec<Connection> {
        let mut state = self.lock();
        let ids = std::mem::take(&mut state.unregistered);
        ids.iter()
            .filter_map(|id| state.connections.get(id))
            .map(|l| l.connection.clone())
            .collect()
    }

    /// Notes that a connection still has to be written again.
    pub(crate) fn still_unregistered(&self, id: ConnectionId) {
        self.lock().unregistered.insert(id);
    }

    pub(crate) fn leftovers(&self) -> Vec<Connection> {
        self.lock().leftovers.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
