//! What etcd's history is called, without which no position means anything, and in which format it
//! is kept.

use std::sync::{Arc, Mutex, PoisonError};

use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, Txn, TxnOp, TxnOpResponse};
use game_realtime_application::ports::{Clock, StoreError};
use game_realtime_domain::{Epoch, RetentionClass};
use tracing::info;
use uuid::Uuid;

use crate::{
    cluster::Cluster,
    keys::Keys,
    log::segments::Segments,
    records::{ClassSize, FORMAT, SegmentRecord, StoreRecord},
};

/// Knows the epoch once etcd has told it.
pub(crate) struct EpochCell {
    cluster: Arc<Cluster>,
    keys: Keys,
    clock: Arc<dyn Clock>,
    segments: Arc<Segments>,
    known: Mutex<Option<Epoch>>,
}

#[derive(Debug, thiserror::Error)]
enum ForeignStore {
    #[error("what etcd says about the store cannot be read")]
    Unreadable,
    #[error(
        "the store is kept in format {format}, which nodes before format {oldest} must not work on, \
         and this release is of format {FORMAT}: update this node"
    )]
    TooNew { format: u32, oldest: u32 },
}

impl EpochCell {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        keys: Keys,
        clock: Arc<dyn Clock>,
        segments: Arc<Segments>,
    ) -> Self {
        Self { cluster, keys, clock, segments, known: Mutex::default() }
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
    /// A plain read, which etcd answers even when it is out of space.
    pub(crate) async fn read(&self) -> Result<(Epoch, u64), StoreError> {
        let key = self.keys.store();
        let response = self.cluster.kv(|mut kv| async move { kv.get(key, None).await }).await?;
        match response.kvs().first() {
            Some(pair) => {
                let epoch = self.learn(pair.value())?;
                Ok((epoch, revision(response.header())))
            }
            None => self.probe().await,
        }
    }

    /// As [`read`](Self::read), in a way that etcd answers only if it would take a write.
    pub(crate) async fn probe(&self) -> Result<(Epoch, u64), StoreError> {
        let key = self.keys.store();
        let fresh = serde_json::to_vec(&StoreRecord {
            epoch: Uuid::new_v4().simple().to_string(),
            format: FORMAT,
            oldest_format: FORMAT,
        });
        let fresh = fresh.map_err(StoreError::corrupt)?;
        let segment = SegmentRecord { begun_at: self.clock.now(), before: ClassSize::default() };
        let segment = serde_json::to_vec(&segment).map_err(StoreError::corrupt)?;
        // A history that is begun anew, after a restore, may find those of the one before.
        let first = self.newest_segment().await? + 1;
        let segments = RetentionClass::ALL.into_iter().flat_map(|class| {
            let before = DeleteOptions::new().with_range(self.keys.segment(class, first));
            [
                TxnOp::delete(self.keys.segments(class), Some(before)),
                TxnOp::put(self.keys.segment(class, first), segment.as_slice(), None),
            ]
        });
        let txn = Txn::new()
            .when([Compare::create_revision(key.clone(), CompareOp::Equal, 0)])
            .and_then(
                [TxnOp::put(key.clone(), fresh.clone(), None)]
                    .into_iter()
                    .chain(segments)
                    .collect::<Vec<_>>(),
            )
            .or_else([TxnOp::get(key, None)]);
        let response = self.cluster.kv(|mut kv| async move { kv.txn(txn).await }).await?;
        self.cluster.space().accepted();
        let stored = match response.op_responses().into_iter().next() {
            Some(TxnOpResponse::Get(get)) => {
                get.kvs().first().map(|pair| pair.value().to_vec()).unwrap_or_default()
            }
            Some(TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_))
            | None => fresh,
        };
        Ok((self.learn(&stored)?, revision(response.header())))
    }

    /// The number of the newest segment there is; 0 if there is none.
    async fn newest_segment(&self) -> Result<u64, StoreError> {
        if let Some(newest) = self.segments.newest_number() {
            return Ok(newest);
        }
        let from = self.keys.all_segments();
        let options = GetOptions::new().with_prefix().with_keys_only();
        let response =
            self.cluster.kv(|mut kv| async move { kv.get(from, Some(options)).await }).await?;
        let numbers = response.kvs().iter().filter_map(|pair| {
            let (_, number) = self.keys.parse_segment(pair.key_str().ok()?)?;
            Some(number)
        });
        Ok(numbers.max().unwrap_or_default())
    }

    fn learn(&self, stored: &[u8]) -> Result<Epoch, StoreError> {
        let unreadable = || StoreError::corrupt(ForeignStore::Unreadable);
        let record: StoreRecord = serde_json::from_slice(stored).map_err(|_| unreadable())?;
        let StoreRecord { format, oldest_format: oldest, .. } = record;
        if oldest > FORMAT {
            return Err(StoreError::unavailable(ForeignStore::TooNew { format, oldest }));
        }
        let epoch = Epoch::parse(record.epoch).map_err(|_| unreadable())?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() != Some(&epoch) {
            info!(epoch = epoch.as_str(), format, "the store's history");
            // Of another history they would be wrong.
            self.segments.clear();
            *known = Some(epoch.clone());
        }
        Ok(epoch)
    }
}

/// The revision that a response speaks of.
pub(crate) fn revision(header: Option<&etcd_client::ResponseHeader>) -> u64 {
    header.and_then(|header| u64::try_from(header.revision()).ok()).unwrap_or_default()
}
