//! Whether this node can rely on etcd now.

use std::sync::Arc;

use async_trait::async_trait;
use game_realtime_application::ports::{StoreError, StoreHealth};

use crate::{epoch::EpochCell, leases::Leases};

/// Asks etcd whether it would take a write, and itself for its leases.
pub(crate) struct EtcdStoreHealth {
    pub(crate) epoch: Arc<EpochCell>,
    pub(crate) leases: Arc<Leases>,
}

#[derive(Debug, thiserror::Error)]
#[error("the node holds no lease")]
struct NoLease;

#[async_trait]
impl StoreHealth for EtcdStoreHealth {
    async fn check(&self) -> Result<(), StoreError> {
        self.epoch.probe().await?;
        self.leases.hold_one().await?;
        if self.leases.is_current() { Ok(()) } else { Err(StoreError::unavailable(NoLease)) }
    }
}
