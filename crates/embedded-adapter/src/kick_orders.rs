//! [`KickOrders`] on the memory of the only node.

use std::sync::Arc;

use async_trait::async_trait;
use game_realtime_application::{
    KickQueue,
    ports::{KickOrders, StoreError},
};
use game_realtime_domain::{ConnectionId, Recipient};

use crate::registry::Registry;

/// Orders that need not travel: who gives them and who hears them are the same node.
#[derive(Clone)]
pub struct EmbeddedKickOrders {
    registry: Arc<Registry>,
    queue: Arc<KickQueue>,
}

impl EmbeddedKickOrders {
    pub(crate) fn new(registry: Arc<Registry>, queue: Arc<KickQueue>) -> Self {
        Self { registry, queue }
    }
}

#[async_trait]
impl KickOrders for EmbeddedKickOrders {
    async fn give(&self, target: &Recipient) -> Result<u64, StoreError> {
        // Named while the registry is locked, so that orders are named as they were given.
        let registry = self.registry.lock();
        let concerned = registry.of(target);
        let count = u64::try_from(concerned.len()).unwrap_or(u64::MAX);
        self.queue.name(concerned);
        Ok(count)
    }

    async fn next(&self) -> Vec<ConnectionId> {
        self.queue.take().await
    }
}
