//! Whether a store holds what it may, and nothing else.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{RawKey, event, validator::Delivery};

/// Longest `message` and `text`, and longest `good_id`, by default.
const TEXT: usize = 16_384;
const GOOD_ID: usize = 128;
const USER_ID: usize = 128;

/// What is counted besides the kinds of keys: connections that are players'.
const PLAYERS: &str = "connections of players";

/// Panics if not.
pub(super) fn assert_right(keys: &[RawKey], events: &[Delivery], users: &[String]) {
    let mut kinds = BTreeMap::<&str, usize>::new();
    for raw in keys {
        let mut segments =
            raw.key.strip_prefix(super::PREFIX).unwrap_or_default().split('/').skip(1);
        let kind = segments.next().unwrap_or_default();
        if kind == "log" && segments.clone().next() == Some("segments") {
            continue;
        }
        *kinds.entry(kind).or_default() += 1;
        if kind == "connections" && segments.next() == Some("private") {
            *kinds.entry(PLAYERS).or_default() += 1;
        }
        let known =
            ["store", "housekeeper", "log", "receipts", "receipt-leases", "connections", "users"];
        assert!(known.contains(&kind), "nobody knows {}", raw.key);
        assert!(raw.key.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", raw.key);
    }
    let count = |kind| kinds.get(kind).copied().unwrap_or_default();
    // Each player's connection is found by the player too.
    assert_eq!(count("users"), count(PLAYERS), "{kinds:?}");
    assert_eq!(count("log"), events.len(), "{kinds:?}");
    for event in events {
        assert!(is_right(event, users), "{event:?} should not be there");
    }
}

/// Whether an event may have been taken, from one of these users or from a guest.
fn is_right(event: &Delivery, users: &[String]) -> bool {
    let sender = event.sender.user_id.as_ref();
    let payload = &event.payload;
    sender.is_none_or(|sender| users.contains(sender))
        && match event.event_type.as_str() {
            event::BROADCAST => has(payload, 1) && text(payload, "message", TEXT),
            event::SEND_MESSAGE => {
                has(payload, 2)
                    && text(payload, "target_user_id", USER_ID)
                    && text(payload, "text", TEXT)
            }
            // A guest buys nothing.
            event::BUY_GOOD => {
                let count = payload.get("count").and_then(Value::as_i64);
                sender.is_some()
                    && has(payload, 2)
                    && text(payload, "good_id", GOOD_ID)
                    && count.is_some_and(|count| count >= 1)
            }
            _ => false,
        }
}

fn has(payload: &Map<String, Value>, fields: usize) -> bool {
    payload.len() == fields
}

fn text(payload: &Map<String, Value>, field: &str, longest: usize) -> bool {
    let text = payload.get(field).and_then(Value::as_str);
    text.is_some_and(|text| (1..=longest).contains(&text.chars().count()))
}
