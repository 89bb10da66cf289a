//! What a store has named and nobody has been told of yet.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use game_realtime_domain::ConnectionId;
use tokio::sync::Notify;

/// The waiting side of [`KickOrders`](crate::ports::KickOrders), for those who implement it. Bounded
/// by the connections of the node, since each is in it once.
#[derive(Default)]
pub struct KickQueue {
    named: Mutex<BTreeSet<ConnectionId>>,
    arrived: Notify,
}

impl KickQueue {
    /// Names connections.
    pub fn name(&self, ids: impl IntoIterator<Item = ConnectionId>) {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        self.arrived.notify_one();
    }

    /// Waits until some are named, and takes all that are.
    pub async fn take(&self) -> Vec<ConnectionId> {
        loop {
            let named =
                std::mem::take(&mut *self.named.lock().unwrap_or_else(PoisonError::into_inner));
            if !named.is_empty() {
                return named.into_iter().collect();
            }
            self.arrived.notified().await;
        }
    }
}
