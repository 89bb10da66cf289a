//! What records take up in the file, and how much of it may be in use.
//!
//! redb can say how many of its pages are in use only by reading all of them, so the writer keeps
//! account itself: every record has a weight that follows from its size, added when it is written
//! and subtracted when it is removed. `space/tests.rs` compares the account with the pages.
//!
//! redb doubles its file when it finds no free page, and pages that a transaction replaces are free
//! only after it. So the file stays within a budget if no more than half of it is in use at any
//! time, the pages that one transaction replaces included. Large
//! events are stored in parts (`parts.rs`), so that any free page will do.

use game_realtime_domain::PerClass;
use redb::{ReadableTable, Table};

use crate::{
    fault::Fault,
    parts,
    tables::{
        PURCHASE_EVENT_BYTES, PURCHASE_RECEIPT_BYTES, STATE_EVENT_BYTES, STATE_RECEIPT_BYTES,
    },
};

/// A page, and what of one is left for entries.
const PAGE: u64 = 4096;
const USABLE: u64 = PAGE - 4;
/// What redb adds to an entry in a leaf.
const ENTRY: u64 = 8;
/// What pages one transaction replaces, at most: those of the receipts of a batch, written and
/// removed, which lie all over their table.
const REPLACED_AT_ONCE: u64 = 8 * 1024 * 1024;
/// The smallest budget that can be kept: several of the largest batches.
const SMALLEST_BUDGET: u64 = 8 * 1024 * 1024;

/// What events and receipts take up, in bytes of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) events: PerClass<u64>,
    pub(crate) receipts: PerClass<u64>,
}

/// How much may be in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// More than this, and pruning begins.
    pub(crate) high: u64,
    /// Where it ends.
    pub(crate) low: u64,
    /// What receipts of class State may take up before events have to go for them.
    pub(crate) state_receipts: u64,
    /// What events of class State may take up before purchases have to go for them: without it a log
    /// full of purchases would leave clients nothing to return to.
    pub(crate) state_events: u64,
}

impl Target {
    /// What may be in use so that the file stays within `budget`. With a budget below the smallest,
    /// as much as with that: who follows needs some time to read what was written.
    pub(crate) const fn within(budget: u64) -> Self {
        let budget = if budget < SMALLEST_BUDGET { SMALLEST_BUDGET } else { budget };
        let reserve = if budget / 4 < REPLACED_AT_ONCE { budget / 4 } else { REPLACED_AT_ONCE };
        let high = budget / 2 - reserve;
        Self { high, low: high - high / 32, state_receipts: high / 4, state_events: high / 4 }
    }
}

impl Space {
    /// All of it.
    pub(crate) fn total(&self) -> u64 {
        let parts = [self.events, self.receipts];
        parts.iter().map(|part| part.state.saturating_add(part.purchases)).sum()
    }

    pub(crate) fn load(progress: &impl ReadableTable<&'static str, u64>) -> Result<Self, Fault> {
        let bytes =
            |key| -> Result<u64, Fault> { Ok(progress.get(key)?.map_or(0, |bytes| bytes.value())) };
        Ok(Self {
            events: PerClass {
                state: bytes(STATE_EVENT_BYTES)?,
                purchases: bytes(PURCHASE_EVENT_BYTES)?,
            },
            receipts: PerClass {
                state: bytes(STATE_RECEIPT_BYTES)?,
                purchases: bytes(PURCHASE_RECEIPT_BYTES)?,
            },
        })
    }

    pub(crate) fn save(&self, progress: &mut Table<'_, &'static str, u64>) -> Result<(), Fault> {
        progress.insert(STATE_EVENT_BYTES, self.events.state)?;
        progress.insert(PURCHASE_EVENT_BYTES, self.events.purchases)?;
        progress.insert(STATE_RECEIPT_BYTES, self.receipts.state)?;
        progress.insert(PURCHASE_RECEIPT_BYTES, self.receipts.purchases)?;
        Ok(())
    }
}

/// What an event takes up: its record, which begins with `head`, and its entry in the index.
pub(crate) fn event_weight(head: &[u8]) -> u64 {
    const INDEX: u64 = 9 + ENTRY;
    // Beside the leaves there are the branches above them.
    (in_order(8 + head.len() as u64) + u64::from(parts::count(head)) * PAGE + INDEX) * 103 / 100
}

/// What a receipt takes up: its record, at a random place of the table, whose leaves are therefore
/// not full, and its entry in the list of its class.
pub(crate) fn receipt_weight(key: usize, record: usize) -> u64 {
    let (key, record) = (key as u64, record as u64);
    (ENTRY + key + record) * 8 / 5 + in_order(8 + 8 + key)
}

/// What an entry takes up in a table that grows at its end: its part of a full leaf, or a leaf of
/// its own, whose number of pages is a power of two.
fn in_order(entry: u64) -> u64 {
    let entry = entry + ENTRY;
    match USABLE.checked_div(entry) {
        Some(entries @ 1..) => PAGE / entries,
        _ => entry.div_ceil(PAGE).next_power_of_two() * PAGE,
    }
}

#[cfg(test)]
mod tests;
