//! Who keeps house: the node whose key it is, for as long as its lease lives.

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};
use game_realtime_domain::NodeId;

use crate::{
    cluster::{CallError, Cluster},
    epoch::revision,
    keys::Keys,
    leases::LeaseId,
};

/// The time for which a node is the housekeeper.
#[derive(Debug, Clone)]
pub(super) struct Term {
    key: String,
    /// When it began.
    revision: i64,
}

impl Term {
    /// Begins one, unless another node is the housekeeper.
    pub(super) async fn begin(
        cluster: &Cluster,
        keys: &Keys,
        node_id: NodeId,
        lease: LeaseId,
    ) -> Result<Option<Self>, CallError> {
        let key = keys.housekeeper();
        let read = key.clone();
        let found = cluster.kv(|mut kv| async move { kv.get(read, None).await }).await?;
        if !found.kvs().is_empty() {
            return Ok(None);
        }
        let options = PutOptions::new().with_lease(lease);
        let txn = Txn::new()
            .when([Compare::create_revision(key.as_str(), CompareOp::Equal, 0)])
            .and_then([TxnOp::put(key.as_str(), node_id.to_string(), Some(options))]);
        let response = cluster.kv(|mut kv| async move { kv.txn(txn).await }).await?;
        let revision = i64::try_from(revision(response.header())).unwrap_or_default();
        Ok(response.succeeded().then_some(Self { key, revision }))
    }

    /// Holds as long as it has not ended.
    pub(super) fn lasts(&self) -> Compare {
        Compare::create_revision(self.key.as_str(), CompareOp::Equal, self.revision)
    }
}
