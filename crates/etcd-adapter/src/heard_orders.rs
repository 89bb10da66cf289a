//! The kick orders that this node has heard of, and which of its connections they concern.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use game_realtime_application::KickQueue;
use game_realtime_domain::{Connection, ConnectionId, Recipient};

use crate::local_registry::LocalRegistry;

/// Whose connections are to be ended, as far as they were registered before a revision.
pub(crate) type Orders = HashMap<Recipient, u64>;

/// An order and a registration may arrive in either order: each is noted before the other is looked
/// for, so that one of the two always finds the other.
pub(crate) struct HeardOrders {
    registry: Arc<LocalRegistry>,
    orders: Mutex<Orders>,
    queue: KickQueue,
}

impl HeardOrders {
    pub(crate) fn new(registry: Arc<LocalRegistry>) -> Self {
        Self { registry, orders: Mutex::default(), queue: KickQueue::default() }
    }

    /// Who waits for the connections that orders concern.
    pub(crate) fn queue(&self) -> &KickQueue {
        &self.queue
    }

    /// Takes all orders there are.
    pub(crate) fn replace(&self, orders: &Orders) {
        self.lock().clone_from(orders);
        self.name(orders);
    }

    /// Takes new orders.
    pub(crate) fn hear(&self, orders: &Orders) {
        self.lock().extend(orders.iter().map(|(target, revision)| (target.clone(), *revision)));
        self.name(orders);
    }

    /// Forgets an order that has expired, unless it was given again.
    pub(crate) fn forget(&self, target: &Recipient, expired_at: u64) {
        let mut orders = self.lock();
        if orders.get(target).is_some_and(|given_at| *given_at < expired_at) {
            orders.remove(target);
        }
    }

    /// Notes that etcd has a connection's registration, since a revision.
    pub(crate) fn registered(&self, id: ConnectionId, revision: u64) {
        let Some(connection) = self.registry.registered(id, revision) else { return };
        if concern(&self.lock(), &connection, revision) {
            self.queue.name([id]);
        }
    }

    fn name(&self, orders: &Orders) {
        if !orders.is_empty() {
            self.queue.name(self.registry.select(|it, since| concern(orders, it, since)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether any of the orders concerns a connection that was registered at a revision.
fn concern(orders: &Orders, connection: &Connection, since: u64) -> bool {
    let given = |target: &Recipient| orders.get(target).is_some_and(|given_at| since < *given_at);
    given(&Recipient::Connection(connection.id))
        || connection.user_id.as_ref().is_some_and(|user| given(&Recipient::User(user.clone())))
}
