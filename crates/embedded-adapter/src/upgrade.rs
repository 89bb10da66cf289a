//! Brings a file of an earlier format to the present one, in one transaction. There is no way back:
//! an earlier program refuses the file and names its format.

use std::collections::HashSet;

use game_realtime_domain::{PerClass, RetentionClass, Timestamp};
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, WriteTransaction};
use tracing::info;

use crate::{
    fault::Fault,
    ledger::Ledger,
    records,
    space::{Space, event_weight, receipt_weight},
    tables::{
        EVENT_PARTS, EVENTS, EVENTS_BY_TYPE, FORMAT, LAST_EVENT, PROGRESS, PRUNED_UP_TO,
        PURCHASE_RECEIPTS, RECEIPTS, RECEIPTS_BY_AGE, STATE_RECEIPTS, class_of, receipt_entry,
    },
};

/// The format of a file.
pub(crate) fn format(database: &redb::Database) -> Result<u64, Fault> {
    let transaction = database.begin_read()?;
    let progress = transaction.open_table(PROGRESS)?;
    let format = progress.get(FORMAT)?;
    Ok(format.ok_or_else(|| Fault::corrupt("the file does not say what it is"))?.value())
}

/// Upgrades a file of format 1, whose records have no seals: every page is checked first, if it was
/// not yet.
pub(crate) fn upgrade(database: &mut redb::Database, checked: bool) -> Result<(), Fault> {
    if !checked && !database.check_integrity()? {
        return Err(Fault::corrupt("a page has a wrong checksum"));
    }
    info!(format = records::FORMAT, "upgrading the file of the embedded store");
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    let purchases = purchases(&transaction)?;
    let ledger = Ledger { space: weigh(&transaction, &purchases)?, ..ledger(&transaction)? };
    {
        let mut progress = transaction.open_table(PROGRESS)?;
        ledger.save(&mut progress)?;
        progress.insert(FORMAT, records::FORMAT)?;
    }
    transaction.delete_table(RECEIPTS_BY_AGE)?;
    transaction.commit()?;
    Ok(())
}

/// The numbers of the events that are kept as long as purchases.
fn purchases(transaction: &WriteTransaction) -> Result<HashSet<u64>, Fault> {
    let mut purchases = HashSet::new();
    for entry in transaction.open_table(EVENTS_BY_TYPE)?.iter()? {
        let (code, number) = entry?.0.value();
        if class_of(code) == RetentionClass::Purchases {
            purchases.insert(number);
        }
    }
    Ok(purchases)
}

/// What format 1 says about its log, which has no hole.
fn ledger(transaction: &WriteTransaction) -> Result<Ledger, Fault> {
    let progress = transaction.open_table(PROGRESS)?;
    let number = |key| -> Result<u64, Fault> {
        let number = progress.get(key)?;
        Ok(number.ok_or_else(|| Fault::corrupt("the file does not say what it is"))?.value())
    };
    let (last_event, pruned) = (number(LAST_EVENT)?, number(PRUNED_UP_TO)?);
    let held = transaction.open_table(EVENTS)?.len()?;
    if last_event.checked_sub(pruned) != Some(held) {
        return Err(Fault::corrupt("events are missing"));
    }
    let pruned = PerClass { state: pruned, purchases: pruned };
    Ok(Ledger { last_event, held, pruned, space: Space::default() })
}

/// Weighs everything, and lists the receipts by class. Those of purchases whose event is gone pass
/// for those of other events.
fn weigh(transaction: &WriteTransaction, purchases: &HashSet<u64>) -> Result<Space, Fault> {
    let class = |number| {
        if purchases.contains(&number) { RetentionClass::Purchases } else { RetentionClass::State }
    };
    let mut space = Space::default();
    for entry in transaction.open_table(EVENTS)?.iter()? {
        let (number, record) = entry?;
        *space.events.of_mut(class(number.value())) += event_weight(record.value());
    }
    transaction.open_table(EVENT_PARTS)?;
    let mut lists = PerClass {
        state: transaction.open_table(STATE_RECEIPTS)?,
        purchases: transaction.open_table(PURCHASE_RECEIPTS)?,
    };
    let receipts = transaction.open_table(RECEIPTS)?;
    for entry in transaction.open_table(RECEIPTS_BY_AGE)?.iter()? {
        let (age, key) = entry?;
        let (committed_at, number) = age.value();
        let Some(record) = receipts.get(key.value())? else { continue };
        let class = class(number);
        *space.receipts.of_mut(class) += receipt_weight(key.value().len(), record.value().len());
        let entry = receipt_entry(Timestamp::from_millis(committed_at), key.value());
        lists.of_mut(class).insert(number, entry.as_slice())?;
    }
    Ok(space)
}
