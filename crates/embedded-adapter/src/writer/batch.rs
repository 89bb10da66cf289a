//! One transaction: the events of a batch with their receipts, and a step of pruning.

use std::collections::HashMap;

use game_realtime_domain::{PerClass, Timestamp};
use redb::{ReadableTable, Table, WriteTransaction};

use super::{
    command::{Append, Receipt},
    pruning::{self, Order, Pruned},
};
use crate::{
    database::Database,
    fault::Fault,
    ledger::Ledger,
    parts::{self, PartsTable},
    records::{ReceiptRecord, Unreadable, decode_receipt, encode_receipt, seal_event},
    space::{event_weight, receipt_weight},
    tables::{
        EVENT_PARTS, EVENTS, EVENTS_BY_TYPE, PROBE, PROGRESS, PURCHASE_RECEIPTS, RECEIPTS,
        STATE_RECEIPTS, receipt_entry, type_code,
    },
};

/// How much a probe writes, in bytes: as much as a large event, so that a disk that has room for a
/// few small pages is not taken for a healthy one.
const PROBE_BYTES: usize = 128 * 1024;

/// What one transaction has to do.
pub(super) struct Work<'a> {
    pub(super) appends: &'a [Append],
    pub(super) now: Timestamp,
    pub(super) order: Order<'a>,
    /// Whether to write in any case.
    pub(super) probe: bool,
}

/// What one transaction has done.
pub(super) struct Written {
    /// One for each append.
    pub(super) outcomes: Vec<Outcome>,
    /// What the file holds now.
    pub(super) ledger: Ledger,
    pub(super) pruned: Pruned,
}

/// What became of an event.
pub(super) enum Outcome {
    /// It got this number.
    Committed(u64),
    /// The request had been committed before, as this.
    Duplicate(ReceiptRecord),
    /// The request id had been used for something else.
    Conflict,
    /// The request had been committed before, but nobody can say as what.
    Unreadable(Unreadable),
}

/// The tables that an append touches, and what it learns for those after it.
struct Tables<'txn, 'a> {
    events: Table<'txn, u64, &'static [u8]>,
    parts: PartsTable<'txn>,
    events_by_type: Table<'txn, (u8, u64), ()>,
    receipts: Table<'txn, &'static [u8], &'static [u8]>,
    lists: PerClass<Table<'txn, u64, &'static [u8]>>,
    /// What became of the requests of this batch: repeats share it.
    requests: HashMap<&'a [u8], ReceiptRecord>,
}

impl<'a> Work<'a> {
    /// Does it, and returns when it is on the disk. If nothing had to be written, nothing was.
    pub(super) fn write(&self, database: &Database) -> Result<Written, Fault> {
        let mut transaction = database.begin_write()?;
        // With the state of the allocator in the commit, a file is opened at once, whatever its
        // size, after a crash too. This implies a commit in two phases, one more sync: without it
        // redb takes damage to the last commit, found after a crash, for a commit that was never
        // finished, and goes back to the one before: an acknowledged batch would be gone without a
        // word.
        transaction.set_quick_repair(true);
        let before = Ledger::load(&transaction.open_table(PROGRESS)?)?;
        let mut ledger = before;
        let outcomes = self.append_all(&transaction, &mut ledger)?;
        let pruned = pruning::step(&transaction, &mut ledger, &self.order, &before)?;
        if self.probe {
            transaction.open_table(PROBE)?.insert((), [0; PROBE_BYTES].as_slice())?;
        }
        let changed = ledger != before || pruned.events + pruned.receipts > 0;
        if changed {
            ledger.save(&mut transaction.open_table(PROGRESS)?)?;
        }
        if changed || self.probe {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(Written { outcomes, ledger, pruned })
    }

    fn append_all(
        &self,
        transaction: &WriteTransaction,
        ledger: &mut Ledger,
    ) -> Result<Vec<Outcome>, Fault> {
        let mut outcomes = Vec::with_capacity(self.appends.len());
        if self.appends.is_empty() {
            return Ok(outcomes);
        }
        let mut tables = Tables {
            events: transaction.open_table(EVENTS)?,
            parts: transaction.open_table(EVENT_PARTS)?,
            events_by_type: transaction.open_table(EVENTS_BY_TYPE)?,
            receipts: transaction.open_table(RECEIPTS)?,
            lists: PerClass {
                state: transaction.open_table(STATE_RECEIPTS)?,
                purchases: transaction.open_table(PURCHASE_RECEIPTS)?,
            },
            requests: HashMap::new(),
        };
        for append in self.appends {
            outcomes.push(self.append(&mut tables, append, ledger)?);
        }
        Ok(outcomes)
    }

    fn append(
        &self,
        tables: &mut Tables<'_, 'a>,
        append: &'a Append,
        ledger: &mut Ledger,
    ) -> Result<Outcome, Fault> {
        if let Some(receipt) = &append.receipt
            && let Some(outcome) = tables.first_of(receipt)?
        {
            return Ok(outcome);
        }
        let class = append.event_type.retention_class();
        let number = ledger.last_event.saturating_add(1);
        let record = seal_event(number, &append.record);
        let (head, parts) = parts::split(&record);
        tables.events.insert(number, head.as_ref())?;
        for (part, bytes) in parts {
            tables.parts.insert((number, part), bytes)?;
        }
        tables.events_by_type.insert((type_code(append.event_type), number), ())?;
        ledger.last_event = number;
        ledger.held += 1;
        *ledger.space.events.of_mut(class) += event_weight(&head);
        if let Some(Receipt { key, fingerprint }) = &append.receipt {
            let receipt = ReceiptRecord {
                event_id: append.event_id,
                number,
                created_at: append.created_at,
                fingerprint: *fingerprint,
            };
            let record = encode_receipt(key, &receipt)?;
            tables.receipts.insert(key.as_slice(), record.as_slice())?;
            let entry = receipt_entry(self.now, key);
            tables.lists.of_mut(class).insert(number, entry.as_slice())?;
            *ledger.space.receipts.of_mut(class) += receipt_weight(key.len(), record.len());
            tables.requests.insert(key, receipt);
        }
        Ok(Outcome::Committed(number))
    }
}

impl<'a> Tables<'_, 'a> {
    /// What became of the first request with this receipt's key; `None` if this is the first.
    fn first_of(&mut self, receipt: &'a Receipt) -> Result<Option<Outcome>, Fault> {
        let key = receipt.key.as_slice();
        if !self.requests.contains_key(key) {
            let Some(stored) = self.receipts.get(key)? else { return Ok(None) };
            match decode_receipt(key, stored.value()) {
                Ok(first) => self.requests.insert(key, first),
                Err(reason) => return Ok(Some(Outcome::Unreadable(reason))),
            };
        }
        Ok(self.requests.get(key).map(|first| {
            if first.fingerprint == receipt.fingerprint {
                Outcome::Duplicate(first.clone())
            } else {
                Outcome::Conflict
            }
        }))
    }
}
