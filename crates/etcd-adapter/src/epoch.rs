//! The name of etcd's history, without which no position means anything.

use std::sync::{Arc, Mutex, PoisonError};

use etcd_client::{Compare, CompareOp, Txn, TxnOp, TxnOpResponse};
use game_realtime_application::ports::StoreError;
use game_realtime_domain::Epoch;
use uuid::Uuid;

use crate::{cluster::Cluster, keys::Keys};

/// Knows the epoch once etcd has told it.
pub(crate) struct EpochCell {
    cluster: Arc<Cluster>,
    keys: Keys,
    known: Mutex<Option<Epoch>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the epoch in etcd is not one of ours")]
struct ForeignEpoch;

impl EpochCell {
    pub(crate) fn new(cluster: Arc<Cluster>, keys: Keys) -> Self {
        Self { cluster, keys, known: Mutex::default() }
    }

    /// The epoch as it is known, or as etcd says.
    pub(crate) async fn get(&self) -> Result<Epoch, StoreError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(epoch) => Ok(epoch),
            None => Ok(self.read().await?.0),
        }
    }

    /// Asks etcd for the epoch and its current revision; names the history if nobody has.
    ///
    /// A plain read, which etcd answers even when it has no room.
    pub(crate) async fn read(&self) -> Result<(Epoch, u64), StoreError> {
        let key = self.keys.epoch();
        let response = self.cluster.kv(|mut kv| async move { kv.get(key, None).await }).await?;
        match response.kvs().first() {
            Some(pair) => {
                let epoch = self.learn(pair.value_str().unwrap_or_default())?;
                Ok((epoch, revision(response.header())))
            }
            None => self.probe().await,
        }
    }

    /// As [`read`](Self::read), in a way that etcd answers only if it would take a write.
    pub(crate) async fn probe(&self) -> Result<(Epoch, u64), StoreError> {
        let key = self.keys.epoch();
        let fresh = Uuid::new_v4().simple().to_string();
        let txn = Txn::new()
            .when([Compare::create_revision(key.clone(), CompareOp::Equal, 0)])
            .and_then([TxnOp::put(key.clone(), fresh.clone(), None)])
            .or_else([TxnOp::get(key, None)]);
        let response = self.cluster.kv(|mut kv| async move { kv.txn(txn).await }).await?;
        self.cluster.space().accepted();
        let stored = match response.op_responses().into_iter().next() {
            Some(TxnOpResponse::Get(get)) => get
                .kvs()
                .first()
                .and_then(|pair| pair.value_str().ok())
                .map(str::to_owned)
                .unwrap_or_default(),
            Some(TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_))
            | None => fresh,
        };
        Ok((self.learn(&stored)?, revision(response.header())))
    }

    fn learn(&self, stored: &str) -> Result<Epoch, StoreError> {
        let epoch = Epoch::parse(stored).map_err(|_| StoreError::corrupt(ForeignEpoch))?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(epoch.clone());
        Ok(epoch)
    }
}

/// The revision that a response speaks of.
pub(crate) fn revision(header: Option<&etcd_client::ResponseHeader>) -> u64 {
    header.and_then(|header| u64::try_from(header.revision()).ok()).unwrap_or_default()
}
