//! What the file says about what it holds: changed in the transaction that changes it.

use game_realtime_domain::{PerClass, RetentionClass};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, Table};

use crate::{
    fault::Fault,
    space::Space,
    tables::{
        EVENTS, EVENTS_BY_TYPE, LAST_EVENT, PRUNED_UP_TO, PURCHASES_PRUNED, RECEIPTS, STATE_PRUNED,
        receipts_of,
    },
};

/// How far the log goes, what of it is gone, and what the rest takes up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// The number of the last event, 0 before the first.
    pub(crate) last_event: u64,
    /// How many events are held.
    pub(crate) held: u64,
    /// Events of the class up to this number may be gone; every later one is there.
    pub(crate) pruned: PerClass<u64>,
    pub(crate) space: Space,
}

impl Ledger {
    pub(crate) fn load(progress: &impl ReadableTable<&'static str, u64>) -> Result<Self, Fault> {
        let number = |key| -> Result<u64, Fault> {
            let number = progress.get(key)?;
            Ok(number.ok_or_else(|| Fault::corrupt("the file does not say what it is"))?.value())
        };
        let last_event = number(LAST_EVENT)?;
        Ok(Self {
            last_event,
            held: last_event
                .checked_sub(number(PRUNED_UP_TO)?)
                .ok_or_else(|| Fault::corrupt("events are missing"))?,
            pruned: PerClass { state: number(STATE_PRUNED)?, purchases: number(PURCHASES_PRUNED)? },
            space: Space::load(progress)?,
        })
    }

    pub(crate) fn save(&self, progress: &mut Table<'_, &'static str, u64>) -> Result<(), Fault> {
        progress.insert(LAST_EVENT, self.last_event)?;
        progress.insert(PRUNED_UP_TO, self.last_event.saturating_sub(self.held))?;
        progress.insert(STATE_PRUNED, self.pruned.state)?;
        progress.insert(PURCHASES_PRUNED, self.pruned.purchases)?;
        self.space.save(progress)
    }

    /// Every event after this number is there, whatever its class.
    pub(crate) fn floor(&self) -> u64 {
        self.pruned.state.max(self.pruned.purchases)
    }

    /// Whether the tables hold what they should. Reads a few pages, however much there is: what it
    /// cannot see, readers notice (`event_log.rs`).
    pub(crate) fn agrees_with(&self, transaction: &ReadTransaction) -> Result<bool, Fault> {
        let events = transaction.open_table(EVENTS)?;
        let oldest = events.first()?.map(|(number, _)| number.value());
        let newest = events.last()?.map(|(number, _)| number.value());
        let listed = transaction.open_table(EVENTS_BY_TYPE)?.len()?;
        let mut receipts = 0;
        for class in RetentionClass::ALL {
            receipts += transaction.open_table(receipts_of(class))?.len()?;
        }
        let gone = self.pruned.state.min(self.pruned.purchases);
        Ok(self.floor() <= self.last_event
            && events.len()? == self.held
            && listed == self.held
            && transaction.open_table(RECEIPTS)?.len()? == receipts
            && oldest.is_none_or(|oldest| oldest > gone)
            && newest.is_none_or(|newest| newest <= self.last_event)
            && (newest == Some(self.last_event) || self.last_event == self.floor()))
    }
}
