//! The tables of the file and their keys. Nothing else builds a key.

use game_realtime_application::{RequestReceipt, Scope};
use game_realtime_domain::{EventType, RetentionClass, Timestamp};
use redb::TableDefinition;

/// Event number → record.
pub(crate) const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");

/// (Event number, part) → bytes: what of large events follows their entry in [`EVENTS`]
/// ([`crate::parts`]).
pub(crate) const EVENT_PARTS: TableDefinition<(u64, u16), &[u8]> =
    TableDefinition::new("event_parts");

/// (Code of the type, event number): the events of a type, in order.
pub(crate) const EVENTS_BY_TYPE: TableDefinition<(u8, u64), ()> =
    TableDefinition::new("events_by_type");

/// [`receipt_key`] → record.
pub(crate) const RECEIPTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("receipts");

/// Event number → milliseconds of the commit (big-endian) and [`receipt_key`]: the receipts of
/// events of class State, in order.
pub(crate) const STATE_RECEIPTS: TableDefinition<u64, &[u8]> =
    TableDefinition::new("state_receipts");
/// The same for those of purchases.
pub(crate) const PURCHASE_RECEIPTS: TableDefinition<u64, &[u8]> =
    TableDefinition::new("purchase_receipts");

/// Only in files of format 1: (milliseconds of the commit, event number) → [`receipt_key`].
pub(crate) const RECEIPTS_BY_AGE: TableDefinition<(u64, u64), &[u8]> =
    TableDefinition::new("receipts_by_age");

/// What the file says about itself, in text.
pub(crate) const IDENTITY: TableDefinition<&str, &str> = TableDefinition::new("identity");
/// In [`IDENTITY`]: the epoch.
pub(crate) const EPOCH: &str = "epoch";

/// What the file says about itself, in numbers.
pub(crate) const PROGRESS: TableDefinition<&str, u64> = TableDefinition::new("progress");
/// In [`PROGRESS`]: the version of the format.
pub(crate) const FORMAT: &str = "format";
/// In [`PROGRESS`]: the number of the last event, 0 before the first.
pub(crate) const LAST_EVENT: &str = "last_event";
/// In [`PROGRESS`]: the number of the last event less the number of events that are held. A
/// program of format 1 takes the events up to here for pruned, and for damage if they are not as
/// many: kept so that it can say that the file is of a later format.
pub(crate) const PRUNED_UP_TO: &str = "pruned_up_to";
/// In [`PROGRESS`]: events of class State up to this number may be gone.
pub(crate) const STATE_PRUNED: &str = "state_pruned_up_to";
/// In [`PROGRESS`]: purchases up to this number may be gone.
pub(crate) const PURCHASES_PRUNED: &str = "purchases_pruned_up_to";
/// In [`PROGRESS`]: what the events of class State take up, in bytes ([`crate::space`]).
pub(crate) const STATE_EVENT_BYTES: &str = "state_event_bytes";
/// In [`PROGRESS`]: what purchases take up.
pub(crate) const PURCHASE_EVENT_BYTES: &str = "purchase_event_bytes";
/// In [`PROGRESS`]: what the receipts of class State take up.
pub(crate) const STATE_RECEIPT_BYTES: &str = "state_receipt_bytes";
/// In [`PROGRESS`]: what the receipts of purchases take up.
pub(crate) const PURCHASE_RECEIPT_BYTES: &str = "purchase_receipt_bytes";
/// One value of no meaning, written to see whether there is room for events. Only there after a
/// failure.
pub(crate) const PROBE: TableDefinition<(), &[u8]> = TableDefinition::new("probe");

/// The code of a type in keys.
pub(crate) const fn type_code(event_type: EventType) -> u8 {
    match event_type {
        EventType::Broadcast => 1,
        EventType::SendMessage => 2,
        EventType::BuyGood => 3,
    }
}

/// The class of the events with this code. One that this version does not know may be of value:
/// it is kept as long as purchases.
pub(crate) fn class_of(code: u8) -> RetentionClass {
    let known = EventType::ALL.into_iter().find(|event_type| type_code(*event_type) == code);
    known.map_or(RetentionClass::Purchases, EventType::retention_class)
}

/// The receipts of a class, in order.
pub(crate) const fn receipts_of(
    class: RetentionClass,
) -> TableDefinition<'static, u64, &'static [u8]> {
    match class {
        RetentionClass::State => STATE_RECEIPTS,
        RetentionClass::Purchases => PURCHASE_RECEIPTS,
    }
}

/// The entry of a receipt in the table of its class.
pub(crate) fn receipt_entry(committed_at: Timestamp, key: &[u8]) -> Vec<u8> {
    [&committed_at.as_millis().to_be_bytes(), key].concat()
}

/// Takes such an entry apart; `None` if it is none.
pub(crate) fn parse_receipt_entry(entry: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (committed_at, key) = entry.split_first_chunk()?;
    Some((Timestamp::from_millis(u64::from_be_bytes(*committed_at)), key))
}

/// The key of a receipt: a tag, the scope, the request id. A connection's id has a fixed length
/// and a user's ends with a zero byte, which none contains: no two receipts share a key.
pub(crate) fn receipt_key(receipt: &RequestReceipt) -> Vec<u8> {
    let mut key = Vec::new();
    match &receipt.scope {
        Scope::User(user_id) => {
            key.push(b'u');
            key.extend_from_slice(user_id.as_str().as_bytes());
            key.push(0);
        }
        Scope::Connection(id) => {
            key.push(b'c');
            key.extend_from_slice(id.0.as_bytes());
        }
        Scope::System => key.push(b's'),
    }
    key.extend_from_slice(receipt.request_id.as_str().as_bytes());
    key
}
