//! Kick orders on etcd: small keys that every node watches.
//!
//! An order is a key that names its target, on a lease that nobody keeps alive and that outlives
//! the time for which a node that is cut off keeps its clients. Its revision says whom it concerns:
//! the connections that were registered before.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use etcd_client::{GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse};
use game_realtime_application::ports::{KickOrders, StoreError};
use game_realtime_domain::{ConnectionId, Namespace, Recipient};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{
    cluster::{CallError, Cluster},
    heard_orders::HeardOrders,
    keys::Keys,
    leases::{LeaseId, Leases},
};

/// How much longer an order lives than a node that is cut off keeps its clients: time to find back.
const LEEWAY: Duration = Duration::from_secs(30);
/// So long, and for so many orders, a lease is used.
const FILL: Duration = Duration::from_secs(10);
const ORDERS_PER_LEASE: usize = 1000;

pub(crate) struct EtcdKickOrders {
    cluster: Arc<Cluster>,
    keys: Keys,
    leases: Arc<Leases>,
    heard: Arc<HeardOrders>,
    /// How long an order lives at least.
    life: Duration,
    /// Held while a lease is granted: those who come meanwhile find room on it.
    filling: Mutex<Option<Filling>>,
}

struct Filling {
    lease: LeaseId,
    orders: usize,
    until: Instant,
}

impl EtcdKickOrders {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        keys: Keys,
        leases: Arc<Leases>,
        heard: Arc<HeardOrders>,
        isolation_grace: Duration,
    ) -> Self {
        let life = isolation_grace + LEEWAY;
        Self { cluster, keys, leases, heard, life, filling: Mutex::default() }
    }

    async fn write(&self, target: &Recipient) -> Result<u64, CallError> {
        let options = PutOptions::new().with_lease(self.lease().await?);
        let put = TxnOp::put(self.keys.kick(target), "", Some(options));
        let counted = GetOptions::new().with_count_only();
        let counts = match target {
            Recipient::User(user_id) => {
                vec![TxnOp::get(self.keys.user(user_id), Some(counted.with_prefix()))]
            }
            Recipient::Connection(id) => Namespace::ALL
                .map(|namespace| self.keys.connection(namespace, *id))
                .map(|key| TxnOp::get(key, Some(counted.clone())))
                .into(),
        };
        let txn = Txn::new().and_then(std::iter::once(put).chain(counts).collect::<Vec<_>>());
        let response = self.cluster.kv(|mut kv| async move { kv.txn(txn).await }).await?;
        let counts = response.op_responses().into_iter().filter_map(|response| match response {
            TxnOpResponse::Get(get) => u64::try_from(get.count()).ok(),
            TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
        });
        Ok(counts.sum())
    }

    /// A lease for one more order.
    async fn lease(&self) -> Result<LeaseId, CallError> {
        let mut filling = self.filling.lock().await;
        if let Some(Filling { lease, orders, until }) = filling.as_mut()
            && *orders < ORDERS_PER_LEASE
            && Instant::now() < *until
        {
            *orders += 1;
            return Ok(*lease);
        }
        let until = Instant::now() + FILL;
        let lease = self.leases.grant(self.life + FILL).await?;
        *filling = Some(Filling { lease, orders: 1, until });
        Ok(lease)
    }
}

#[async_trait]
impl KickOrders for EtcdKickOrders {
    async fn give(&self, target: &Recipient) -> Result<u64, StoreError> {
        let written = async {
            match self.write(target).await {
                Err(error) if error.is_lease_not_found() => {
                    // Nothing was written.
                    *self.filling.lock().await = None;
                    self.write(target).await
                }
                result => result,
            }
        };
        let written = timeout(self.cluster.request_timeout(), written).await;
        Ok(written.map_err(StoreError::unavailable)??)
    }

    async fn next(&self) -> Vec<ConnectionId> {
        self.heard.queue().take().await
    }
}
