//! Forgets events and receipts that are old enough, a bounded step at a time.

use game_realtime_domain::{EventType, RetentionClass, Timestamp};
use redb::{ReadableTable, WriteTransaction};

use crate::{
    fault::Fault,
    records,
    tables::{
        EVENTS, EVENTS_BY_TYPE, PROGRESS, PRUNED_UP_TO, RECEIPTS, RECEIPTS_BY_AGE, type_code,
    },
};
use game_realtime_application::RetentionPolicy;

/// How many events, and how many receipts, one step removes at most. More than one batch appends:
/// pruning keeps up with any load.
const STEP: usize = 1000;

/// What one step did.
pub(super) struct Pruned {
    pub(super) removed: usize,
    /// Whether there may be more to remove.
    pub(super) more: bool,
}

/// Removes the oldest events and receipts, if their time has come.
pub(super) fn step(
    transaction: &WriteTransaction,
    retention: &RetentionPolicy,
    last_event: u64,
    now: Timestamp,
) -> Result<Pruned, Fault> {
    let events = prune_events(transaction, retention, last_event, now)?;
    let receipts = prune_receipts(transaction, now.minus(retention.state.receipts))?;
    Ok(Pruned { removed: events + receipts, more: events == STEP || receipts == STEP })
}

/// Goes from the old end and stops at the first event that has to stay, so the log never has a
/// hole. (An event that was stamped by a clock gone wrong holds up those after it.)
fn prune_events(
    transaction: &WriteTransaction,
    retention: &RetentionPolicy,
    last_event: u64,
    now: Timestamp,
) -> Result<usize, Fault> {
    let oldest_kept = now.minus(retention.of(RetentionClass::State).events);
    let highest =
        last_event.saturating_sub(u64::try_from(retention.replay_events).unwrap_or(u64::MAX));
    let mut events = transaction.open_table(EVENTS)?;
    let mut up_to = None;
    let mut removed = 0;
    for entry in events.range(..=highest)?.take(STEP) {
        let (number, record) = entry?;
        // What cannot be read stays: whoever reads it is told.
        if records::created_at(record.value()).is_none_or(|created_at| created_at >= oldest_kept) {
            break;
        }
        up_to = Some(number.value());
        removed += 1;
    }
    if let Some(up_to) = up_to {
        events.retain_in(..=up_to, |_, _| false)?;
        let mut events_by_type = transaction.open_table(EVENTS_BY_TYPE)?;
        for event_type in EventType::ALL {
            let code = type_code(event_type);
            events_by_type.retain_in((code, 0)..=(code, up_to), |_, ()| false)?;
        }
        transaction.open_table(PROGRESS)?.insert(PRUNED_UP_TO, up_to)?;
    }
    Ok(removed)
}

fn prune_receipts(transaction: &WriteTransaction, oldest_kept: Timestamp) -> Result<usize, Fault> {
    let mut by_age = transaction.open_table(RECEIPTS_BY_AGE)?;
    let mut last = None;
    let mut keys = Vec::new();
    for entry in by_age.range(..(oldest_kept.as_millis(), 0))?.take(STEP) {
        let (age, key) = entry?;
        last = Some(age.value());
        keys.push(key.value().to_vec());
    }
    if let Some(last) = last {
        by_age.retain_in(..=last, |_, _| false)?;
        let mut receipts = transaction.open_table(RECEIPTS)?;
        for key in &keys {
            receipts.remove(key.as_slice())?;
        }
    }
    Ok(keys.len())
}
