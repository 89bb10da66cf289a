//! The tables of the file and their keys. Nothing else builds a key.

use game_realtime_application::{RequestReceipt, Scope};
use game_realtime_domain::EventType;
use redb::TableDefinition;

/// Event number → record.
pub(crate) const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");

/// (Code of the type, event number): the events of a type, in order.
pub(crate) const EVENTS_BY_TYPE: TableDefinition<(u8, u64), ()> =
    TableDefinition::new("events_by_type");

/// [`receipt_key`] → record.
pub(crate) const RECEIPTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("receipts");

/// (Milliseconds of the commit, event number) → [`receipt_key`]: the receipts by age.
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
/// In [`PROGRESS`]: every event up to this number was pruned.
pub(crate) const PRUNED_UP_TO: &str = "pruned_up_to";
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
