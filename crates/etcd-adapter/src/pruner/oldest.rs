//! The oldest events, a bounded number at a time, without reading those that stay.
//!
//! The log begins at its newest end, and etcd visits every key of a range. So the old end is found
//! by reaching forward from where nothing is left, and counting: less far when that is too many, twice
//! as far when it is few.

use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, Txn, TxnOp, TxnOpResponse};
use game_realtime_application::ports::StoreError;
use game_realtime_domain::{EventType, Position};

use super::marker::Marker;
use crate::{
    cluster::{CallError, Cluster},
    epoch::revision,
    log_reader::LogReader,
};

/// Events in one step, unless there are more in a single millisecond.
const STEP: u64 = 1000;
/// Where the search begins: so long before the last stamp that may go, in milliseconds. Three days.
const FIRST_REACH: u64 = 3 * 24 * 3600 * 1000;

pub(super) struct Oldest<'a> {
    cluster: &'a Cluster,
    log: &'a LogReader,
    /// What is stamped later stays.
    until: u64,
    /// The next portion begins after this stamp, and takes what is older along.
    from: u64,
    /// How far it reaches, in milliseconds.
    reach: u64,
    /// Whether little or nothing is older than `from`.
    from_is_oldest: bool,
}

/// All events that are stored with a stamp up to some point.
pub(super) struct Portion<'a> {
    cluster: &'a Cluster,
    /// First key and end, of each type.
    ranges: Vec<(Vec<u8>, Vec<u8>)>,
    /// When they were read.
    revision: i64,
    pub(super) events: usize,
    /// The highest position among them.
    pub(super) last: Position,
}

impl<'a> Oldest<'a> {
    pub(super) fn new(cluster: &'a Cluster, log: &'a LogReader, until: u64) -> Self {
        let from = until.saturating_sub(FIRST_REACH);
        Self { cluster, log, until, from, reach: FIRST_REACH, from_is_oldest: false }
    }

    /// The next portion; `None` if nothing is left that may go.
    pub(super) async fn next(&mut self) -> Result<Option<Portion<'a>>, StoreError> {
        while self.from < self.until {
            let to = self.from.saturating_add(self.reach).min(self.until);
            let reached = to - self.from;
            let count = self.count(to).await?;
            if count > STEP && reached > 1 {
                // As if they were spread evenly, with room to spare.
                let shorter = reached.saturating_mul(STEP) / count.saturating_mul(2);
                self.reach = shorter.clamp(1, reached / 2);
                continue;
            }
            if count > STEP && !self.from_is_oldest {
                self.reach = self.from.max(1);
                self.from = 0;
                self.from_is_oldest = true;
                continue;
            }
            // Of what was stamped within one millisecond there may be more: it goes at once.
            self.from = to;
            self.from_is_oldest = true;
            if count < STEP / 2 {
                self.reach = self.reach.saturating_mul(2);
            }
            if count > 0 {
                return Ok(Some(self.read(to).await?));
            }
        }
        Ok(None)
    }

    /// How many are stamped at `to` or before.
    async fn count(&self, to: u64) -> Result<u64, StoreError> {
        let mut count = 0;
        for event_type in EventType::ALL {
            let (first, end) = self.range(event_type, to);
            let options = GetOptions::new().with_range(end).with_count_only();
            let response =
                self.cluster.kv(|mut kv| async move { kv.get(first, Some(options)).await }).await?;
            count += u64::try_from(response.count()).unwrap_or_default();
        }
        Ok(count)
    }

    /// Reads what is stamped at `to` or before.
    async fn read(&self, to: u64) -> Result<Portion<'a>, StoreError> {
        let mut portion = Portion {
            cluster: self.cluster,
            ranges: Vec::new(),
            revision: 0,
            events: 0,
            last: Position::START,
        };
        for event_type in EventType::ALL {
            let (first, end) = self.range(event_type, to);
            let options = GetOptions::new()
                .with_range(end.clone())
                .with_keys_only()
                .with_revision(portion.revision);
            let key = first.clone();
            let response =
                self.cluster.kv(|mut kv| async move { kv.get(key, Some(options)).await }).await?;
            if portion.revision == 0 {
                portion.revision = i64::try_from(revision(response.header())).unwrap_or_default();
            }
            portion.events += response.kvs().len();
            for pair in response.kvs() {
                portion.last = portion.last.max(self.log.place(pair)?.1);
            }
            if !response.kvs().is_empty() {
                portion.ranges.push((first, end));
            }
        }
        Ok(portion)
    }

    /// The keys of a type that are stamped at `to` or before.
    fn range(&self, event_type: EventType, to: u64) -> (Vec<u8>, Vec<u8>) {
        let keys = &self.log.keys;
        (keys.events_until(event_type, to), keys.events_end(event_type))
    }
}

impl Portion<'_> {
    /// Deletes them and says how many it deleted: fewer than there were if somebody else deletes,
    /// too, and 0 if somebody has moved the marker or an event came late.
    pub(super) async fn delete(&self, marker: &Marker<'_>) -> Result<usize, StoreError> {
        if !self.cluster.space().is_exhausted() {
            match self.delete_guarded(marker).await {
                Err(error) if error.is_no_space() => {}
                deleted => return Ok(deleted?),
            }
        }
        // Without room etcd may refuse every transaction (3.5.1 does), but deletes what it is told
        // to. Nothing can come late then, and the marker cannot move.
        let mut deleted = 0;
        for (first, end) in self.ranges.clone() {
            let options = DeleteOptions::new().with_range(end);
            let delete =
                self.cluster.kv(|mut kv| async move { kv.delete(first, Some(options)).await });
            deleted += delete.await?.deleted();
        }
        Ok(usize::try_from(deleted).unwrap_or_default())
    }

    async fn delete_guarded(&self, marker: &Marker<'_>) -> Result<usize, CallError> {
        let as_read = |(first, end): &(Vec<u8>, Vec<u8>)| {
            Compare::mod_revision(first.as_slice(), CompareOp::Less, self.revision + 1)
                .with_range(end.as_slice())
        };
        let delete = |(first, end): &(Vec<u8>, Vec<u8>)| {
            let options = DeleteOptions::new().with_range(end.as_slice());
            TxnOp::delete(first.as_slice(), Some(options))
        };
        let guards = std::iter::once(marker.unmoved()).chain(self.ranges.iter().map(as_read));
        let txn = Txn::new()
            .when(guards.collect::<Vec<_>>())
            .and_then(self.ranges.iter().map(delete).collect::<Vec<_>>());
        let response = self.cluster.kv(|mut kv| async move { kv.txn(txn).await }).await?;
        let deleted = response.op_responses().into_iter().map(|response| match response {
            TxnOpResponse::Delete(delete) => delete.deleted(),
            TxnOpResponse::Put(_) | TxnOpResponse::Get(_) | TxnOpResponse::Txn(_) => 0,
        });
        Ok(usize::try_from(deleted.sum::<i64>()).unwrap_or_default())
    }
}
