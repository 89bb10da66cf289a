//! Reads the log of events from a snapshot of the file. Nothing here waits for a writer.
//!
//! An event that cannot be read is passed over. One that is not there although it was not pruned is
//! damage: it is never taken for silence.

use game_realtime_application::{HistoryBuilder, PositionedEvent};
use game_realtime_domain::{EventType, Position};
use redb::ReadTransaction;

use crate::{
    fault::Fault,
    ledger::Ledger,
    parts,
    positions::position_of,
    records::decode_event,
    tables::{EVENT_PARTS, EVENTS, EVENTS_BY_TYPE, PROGRESS, type_code},
    unreadable::Unreadables,
};

/// How many events one page holds, at most.
const PAGE_EVENTS: usize = 512;
/// How large the records of one page are, in bytes; the last one may go beyond.
const PAGE_BYTES: usize = 1024 * 1024;

/// A stretch of the log.
pub(crate) struct Page {
    /// Those of its events that can be read.
    pub(crate) events: Vec<PositionedEvent>,
    /// The number of its last event.
    pub(crate) last: u64,
}

/// The number after which the log is complete.
pub(crate) fn floor(transaction: &ReadTransaction) -> Result<u64, Fault> {
    Ok(Ledger::load(&transaction.open_table(PROGRESS)?)?.floor())
}

/// The first events after `after`, up to `head`; `None` when some of them were pruned.
pub(crate) fn page(
    transaction: &ReadTransaction,
    unreadables: &Unreadables,
    after: u64,
    head: u64,
) -> Result<Option<Page>, Fault> {
    if after < floor(transaction)? {
        return Ok(None);
    }
    let table = transaction.open_table(EVENTS)?;
    let parts = transaction.open_table(EVENT_PARTS)?;
    let mut page = Page { events: Vec::new(), last: after };
    let mut bytes = 0;
    for entry in table.range(after.saturating_add(1)..=head)?.take(PAGE_EVENTS) {
        let (number, record) = entry?;
        let number = number.value();
        if number != page.last.saturating_add(1) {
            return Err(missing(page.last.saturating_add(1)));
        }
        page.last = number;
        let record = parts::join(number, record.value(), &parts)?;
        match decode_event(number, &record) {
            Ok(event) => page.events.push(event),
            Err(reason) => unreadables.pass_over(number, &reason),
        }
        bytes += record.len();
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    if page.last == after && after < head { Err(missing(head)) } else { Ok(Some(page)) }
}

/// Adds events up to `head` to a history, newest first, until it has enough or the log is no longer
/// complete. The number after which it is complete comes with it.
pub(crate) fn recent(
    transaction: &ReadTransaction,
    unreadables: &Unreadables,
    head: u64,
    mut history: HistoryBuilder,
) -> Result<(HistoryBuilder, u64), Fault> {
    let floor = floor(transaction)?;
    let table = transaction.open_table(EVENTS)?;
    let parts = transaction.open_table(EVENT_PARTS)?;
    let mut next = head;
    for entry in table.range(floor.saturating_add(1)..=head)?.rev() {
        let (number, record) = entry?;
        let number = number.value();
        if number != next {
            return Err(missing(next));
        }
        next = number.saturating_sub(1);
        match decode_event(number, &parts::join(number, record.value(), &parts)?) {
            Ok(event) => history.add(event),
            Err(reason) => {
                unreadables.pass_over(number, &reason);
                history.pass_over(position_of(number));
            }
        }
        if history.floor() > Position::START {
            return Ok((history, floor));
        }
    }
    if next > floor { Err(missing(next)) } else { Ok((history, floor)) }
}

/// The newest events of a type up to `head`, newest first. Reads two records for each.
pub(crate) fn newest(
    transaction: &ReadTransaction,
    unreadables: &Unreadables,
    event_type: EventType,
    limit: usize,
    head: u64,
) -> Result<Vec<PositionedEvent>, Fault> {
    let events = transaction.open_table(EVENTS)?;
    let parts = transaction.open_table(EVENT_PARTS)?;
    let index = transaction.open_table(EVENTS_BY_TYPE)?;
    let code = type_code(event_type);
    let mut newest = Vec::new();
    for entry in index.range((code, 0)..=(code, head))?.rev() {
        if newest.len() == limit {
            break;
        }
        let (_, number) = entry?.0.value();
        let record = events.get(number)?.ok_or_else(|| missing(number))?;
        match decode_event(number, &parts::join(number, record.value(), &parts)?) {
            Ok(event) => newest.push(event),
            Err(reason) => unreadables.pass_over(number, &reason),
        }
    }
    Ok(newest)
}

fn missing(number: u64) -> Fault {
    Fault::corrupt(format!("event {number} is missing"))
}
