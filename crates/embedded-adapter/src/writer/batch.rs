//! One transaction: the events of a batch with their receipts, and a step of pruning.

use game_realtime_domain::Timestamp;
use redb::{ReadableTable, Table, WriteTransaction};

use super::{
    command::{Append, Receipt},
    pruning,
};
use crate::{
    database::Database,
    fault::Fault,
    records::{ReceiptRecord, decode_receipt, encode_receipt},
    tables::{
        EVENTS, EVENTS_BY_TYPE, LAST_EVENT, PROBE, PROGRESS, RECEIPTS, RECEIPTS_BY_AGE, type_code,
    },
};
use game_realtime_application::RetentionPolicy;

/// How much a probe writes, in bytes: as much as a large event, so that a disk that has room for a
/// few small pages is not taken for a healthy one.
const PROBE_BYTES: usize = 128 * 1024;

/// What one transaction has to do.
pub(super) struct Work<'a> {
    pub(super) appends: &'a [Append],
    /// The number of the last committed event.
    pub(super) last_event: u64,
    pub(super) now: Timestamp,
    /// Set when pruning is due.
    pub(super) prune: Option<&'a RetentionPolicy>,
    /// Whether to write in any case.
    pub(super) probe: bool,
}

/// What one transaction has done.
pub(super) struct Written {
    /// One for each append.
    pub(super) outcomes: Vec<Outcome>,
    /// The number of the last committed event now.
    pub(super) last_event: u64,
    /// When pruning was due: whether there is more to prune.
    pub(super) prune_again: Option<bool>,
}

/// What became of an event.
pub(super) enum Outcome {
    /// It got this number.
    Committed(u64),
    /// The request had been committed before, as this.
    Duplicate(ReceiptRecord),
    /// The request id had been used for something else.
    Conflict,
}

/// The tables that an append touches.
struct Tables<'txn> {
    events: Table<'txn, u64, &'static [u8]>,
    events_by_type: Table<'txn, (u8, u64), ()>,
    receipts: Table<'txn, &'static [u8], &'static [u8]>,
    receipts_by_age: Table<'txn, (u64, u64), &'static [u8]>,
}

impl Work<'_> {
    /// Does it, and returns when it is on the disk. If nothing had to be written, nothing was.
    pub(super) fn write(&self, database: &Database) -> Result<Written, Fault> {
        let mut transaction = database.begin_write()?;
        // One more sync. Without it redb takes damage to the last commit, found after a crash, for
        // a commit that was never finished, and goes back to the one before: an acknowledged batch
        // would be gone without a word. With it such a file is refused.
        transaction.set_two_phase_commit(true);
        let (outcomes, last_event) = self.append_all(&transaction)?;
        let pruned = match self.prune {
            Some(retention) => Some(pruning::step(&transaction, retention, last_event, self.now)?),
            None => None,
        };
        if self.probe {
            transaction.open_table(PROBE)?.insert((), [0; PROBE_BYTES].as_slice())?;
        }
        let wrote = last_event > self.last_event
            || self.probe
            || pruned.as_ref().is_some_and(|pruned| pruned.removed > 0);
        if wrote {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(Written { outcomes, last_event, prune_again: pruned.map(|pruned| pruned.more) })
    }

    fn append_all(&self, transaction: &WriteTransaction) -> Result<(Vec<Outcome>, u64), Fault> {
        let mut last_event = self.last_event;
        let mut outcomes = Vec::with_capacity(self.appends.len());
        if self.appends.is_empty() {
            return Ok((outcomes, last_event));
        }
        let mut tables = Tables {
            events: transaction.open_table(EVENTS)?,
            events_by_type: transaction.open_table(EVENTS_BY_TYPE)?,
            receipts: transaction.open_table(RECEIPTS)?,
            receipts_by_age: transaction.open_table(RECEIPTS_BY_AGE)?,
        };
        for append in self.appends {
            outcomes.push(self.append(&mut tables, append, &mut last_event)?);
        }
        if last_event > self.last_event {
            transaction.open_table(PROGRESS)?.insert(LAST_EVENT, last_event)?;
        }
        Ok((outcomes, last_event))
    }

    fn append(
        &self,
        tables: &mut Tables<'_>,
        append: &Append,
        last_event: &mut u64,
    ) -> Result<Outcome, Fault> {
        if let Some(receipt) = &append.receipt
            && let Some(first) = tables.receipts.get(receipt.key.as_slice())?
        {
            let first = decode_receipt(first.value())?;
            let repeats = first.fingerprint == receipt.fingerprint;
            return Ok(if repeats { Outcome::Duplicate(first) } else { Outcome::Conflict });
        }
        let number = last_event.saturating_add(1);
        *last_event = number;
        tables.events.insert(number, append.record.as_slice())?;
        tables.events_by_type.insert((type_code(append.event_type), number), ())?;
        if let Some(Receipt { key, fingerprint }) = &append.receipt {
            let record = encode_receipt(&ReceiptRecord {
                event_id: append.event_id,
                number,
                created_at: append.created_at,
                fingerprint: *fingerprint,
            })?;
            tables.receipts.insert(key.as_slice(), record.as_slice())?;
            tables.receipts_by_age.insert((self.now.as_millis(), number), key.as_slice())?;
        }
        Ok(Outcome::Committed(number))
    }
}
