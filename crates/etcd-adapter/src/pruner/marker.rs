//! The position up to which events may be gone.

use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use game_realtime_application::ports::StoreError;
use game_realtime_domain::Position;

use crate::{
    cluster::{CallError, Cluster},
    epoch::revision,
    keys::Keys,
};

/// As it was read or written last.
pub(super) struct Marker<'a> {
    cluster: &'a Cluster,
    key: String,
    pub(super) position: Position,
    /// When it was written; 0 if it never was.
    revision: i64,
}

impl<'a> Marker<'a> {
    pub(super) async fn read(cluster: &'a Cluster, keys: &Keys) -> Result<Self, StoreError> {
        let key = keys.pruned();
        let read = key.clone();
        let response = cluster.kv(|mut kv| async move { kv.get(read, None).await }).await?;
        let (position, revision) = match response.kvs().first() {
            None => (Position::START, 0),
            Some(pair) => {
                let position = serde_json::from_slice(pair.value()).map_err(StoreError::corrupt)?;
                (position, pair.mod_revision())
            }
        };
        Ok(Self { cluster, key, position, revision })
    }

    /// Holds as long as nobody else has moved it.
    pub(super) fn unmoved(&self) -> Compare {
        Compare::mod_revision(self.key.as_str(), CompareOp::Equal, self.revision)
    }

    /// Moves it; `false` if somebody else did. Stays where it is while etcd has no room.
    pub(super) async fn advance(&mut self, to: Position) -> Result<bool, StoreError> {
        let record = serde_json::to_vec(&to).map_err(StoreError::corrupt)?;
        let put = TxnOp::put(self.key.as_str(), record, None);
        let txn = Txn::new().when([self.unmoved()]).and_then([put]);
        match self.cluster.kv(|mut kv| async move { kv.txn(txn).await }).await {
            Ok(response) if response.succeeded() => {
                self.position = to;
                self.revision = i64::try_from(revision(response.header())).unwrap_or_default();
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(error) => no_space(error).map(|()| true),
        }
    }
}

/// Only the want of room is no reason to end the round.
fn no_space(error: CallError) -> Result<(), StoreError> {
    if error.is_no_space() { Ok(()) } else { Err(error.into()) }
}
