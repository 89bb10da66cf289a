//! Deletes in bounded steps, one after the other, so that writers find their way in between.

use etcd_client::{DeleteOptions, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse};
use game_realtime_application::ports::StoreError;

use super::term::Term;
use crate::{
    cluster::{CallError, Cluster},
    epoch::revision,
};

/// Keys of one step, about: it takes etcd some 10 ms, as a full transaction of events does.
const STEP: u64 = 1500;

/// Deletes for a housekeeper, as long as it is one.
pub(super) struct Deletion<'a> {
    pub(super) cluster: &'a Cluster,
    /// `None` while etcd is out of space and grants no lease: then nodes delete without one.
    pub(super) term: Option<&'a Term>,
}

/// What a step has done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deleted {
    pub(super) keys: u64,
    pub(super) revision: u64,
}

/// Another node is the housekeeper.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("another node keeps house")]
    Term,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CallError> for Ended {
    fn from(error: CallError) -> Self {
        Self::Store(error.into())
    }
}

impl Deletion<'_> {
    /// Deletes everything from a key up to another, and tells of each step.
    pub(super) async fn range(
        &self,
        mut from: Vec<u8>,
        end: Vec<u8>,
        mut step: impl FnMut(Deleted),
    ) -> Result<(), Ended> {
        loop {
            let options = GetOptions::new()
                .with_range(end.clone())
                .with_keys_only()
                .with_limit(i64::try_from(STEP).unwrap_or(i64::MAX));
            let first = from.clone();
            let found =
                self.cluster.kv(|mut kv| async move { kv.get(first, Some(options)).await }).await?;
            let Some(last) = found.kvs().last() else { return Ok(()) };
            let after_last = [last.key(), &[0]].concat();
            step(self.keys(from, after_last.clone()).await?);
            if !found.more() {
                return Ok(());
            }
            from = after_last;
        }
    }

    /// As [`range`](Self::range), without reading keys: deletes everything in the ranges that `range` makes
    /// of stretches of numbers, over which what is stored is spread about evenly.
    pub(super) async fn stretch(
        &self,
        from: u64,
        to: u64,
        range: impl Fn(u64, u64) -> (Vec<u8>, Vec<u8>),
        mut step: impl FnMut(Deleted),
    ) -> Result<(), Ended> {
        let (first, end) = range(from, to);
        let options = GetOptions::new().with_range(end).with_count_only();
        let counted =
            self.cluster.kv(|mut kv| async move { kv.get(first, Some(options)).await }).await?;
        let mut left = u64::try_from(counted.count()).unwrap_or_default();
        let mut from = from;
        while left > 0 && from < to {
            let length = (to - from).saturating_mul(STEP) / left.max(STEP);
            let until = from.saturating_add(length.max(1)).min(to);
            let (first, end) = range(from, until);
            let deleted = self.keys(first, end).await?;
            step(deleted);
            left = left.saturating_sub(deleted.keys);
            from = until;
        }
        Ok(())
    }

    /// Deletes everything from a key up to another in one step.
    pub(super) async fn keys(&self, from: Vec<u8>, end: Vec<u8>) -> Result<Deleted, Ended> {
        let options = DeleteOptions::new().with_range(end);
        let Some(term) = self.term.filter(|_| !self.cluster.space().is_exhausted()) else {
            // Out of space etcd may refuse every transaction (3.5.1 does), but deletes what it is told
            // to.
            let deleted = self
                .cluster
                .kv(|mut kv| async move { kv.delete(from, Some(options)).await })
                .await?;
            return Ok(Deleted {
                keys: u64::try_from(deleted.deleted()).unwrap_or_default(),
                revision: revision(deleted.header()),
            });
        };
        let txn = Txn::new().when([term.lasts()]).and_then([TxnOp::delete(from, Some(options))]);
        let response = self.cluster.kv(|mut kv| async move { kv.txn(txn).await }).await?;
        if !response.succeeded() {
            return Err(Ended::Term);
        }
        let deleted = response.op_responses().into_iter().map(|response| match response {
            TxnOpResponse::Delete(delete) => delete.deleted(),
            TxnOpResponse::Put(_) | TxnOpResponse::Get(_) | TxnOpResponse::Txn(_) => 0,
        });
        let keys = u64::try_from(deleted.sum::<i64>()).unwrap_or_default();
        Ok(Deleted { keys, revision: revision(response.header()) })
    }

    /// Deletes one key and changes another, both or neither.
    pub(super) async fn replace(
        &self,
        deleted: String,
        changed: String,
        value: Vec<u8>,
    ) -> Result<(), Ended> {
        let Some(term) = self.term else { return Ok(()) };
        let txn = Txn::new().when([term.lasts()]).and_then([
            TxnOp::delete(deleted, None::<DeleteOptions>),
            TxnOp::put(changed, value, None::<PutOptions>),
        ]);
        let response = self.cluster.kv(|mut kv| async move { kv.txn(txn).await }).await?;
        if response.succeeded() { Ok(()) } else { Err(Ended::Term) }
    }
}
