//! Reads the log of events from a snapshot of the file. Nothing here waits for a writer.

use game_realtime_application::{HistoryBuilder, PositionedEvent};
use game_realtime_domain::{EventType, Position};
use redb::ReadTransaction;

use crate::{
    fault::Fault,
    records::decode_event,
    tables::{EVENTS, EVENTS_BY_TYPE, PROGRESS, PRUNED_UP_TO, type_code},
};

/// How many events one page holds, at most.
const PAGE_EVENTS: usize = 512;
/// How large the records of one page are, in bytes; the last one may go beyond.
const PAGE_BYTES: usize = 1024 * 1024;

/// The number up to which everything was pruned.
pub(crate) fn pruned_up_to(transaction: &ReadTransaction) -> Result<u64, Fault> {
    let progress = transaction.open_table(PROGRESS)?;
    Ok(progress.get(PRUNED_UP_TO)?.map_or(0, |number| number.value()))
}

/// The first events after `after`, up to `head`; `None` when some of them were pruned.
pub(crate) fn page(
    transaction: &ReadTransaction,
    after: u64,
    head: u64,
) -> Result<Option<Vec<PositionedEvent>>, Fault> {
    if after < pruned_up_to(transaction)? {
        return Ok(None);
    }
    let table = transaction.open_table(EVENTS)?;
    let mut events = Vec::new();
    let mut bytes = 0;
    for entry in table.range(after.saturating_add(1)..=head)? {
        let (number, record) = entry?;
        bytes += record.value().len();
        events.push(decode_event(number.value(), record.value())?);
        if events.len() == PAGE_EVENTS || bytes >= PAGE_BYTES {
            break;
        }
    }
    Ok(Some(events))
}

/// Adds events up to `head` to a history, newest first, until it has enough.
pub(crate) fn recent(
    transaction: &ReadTransaction,
    head: u64,
    mut history: HistoryBuilder,
) -> Result<HistoryBuilder, Fault> {
    let table = transaction.open_table(EVENTS)?;
    for entry in table.range(..=head)?.rev() {
        let (number, record) = entry?;
        history.add(decode_event(number.value(), record.value())?);
        if history.floor() > Position::START {
            break;
        }
    }
    Ok(history)
}

/// The newest events of a type up to `head`, newest first. Reads two records for each.
pub(crate) fn newest(
    transaction: &ReadTransaction,
    event_type: EventType,
    limit: usize,
    head: u64,
) -> Result<Vec<PositionedEvent>, Fault> {
    let events = transaction.open_table(EVENTS)?;
    let index = transaction.open_table(EVENTS_BY_TYPE)?;
    let code = type_code(event_type);
    let mut newest = Vec::new();
    for entry in index.range((code, 0)..=(code, head))?.rev().take(limit) {
        let (_, number) = entry?.0.value();
        let record = events.get(number)?;
        let record = record.ok_or_else(|| Fault::corrupt(format!("event {number} is missing")))?;
        newest.push(decode_event(number, record.value())?);
    }
    Ok(newest)
}
