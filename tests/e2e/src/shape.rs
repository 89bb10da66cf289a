//! The exact keys and kinds of values that the contract promises. Each function panics otherwise.

use serde_json::Value;

use crate::{Client, Namespace, event};

/// The keys of an object, no more and no less.
///
/// # Panics
/// Otherwise.
pub fn assert_keys(value: &Value, keys: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("not an object: {value}"));
    let mut actual: Vec<&str> = object.keys().map(String::as_str).collect();
    let mut expected = keys.to_vec();
    actual.sort_unstable();
    expected.sort_unstable();
    assert_eq!(actual, expected, "keys of {value}");
}

/// The payload of `ready` for a connection in `namespace`.
///
/// # Panics
/// Otherwise.
pub fn assert_ready(ready: &Value, namespace: Namespace, user: Option<&str>, status: &str) {
    assert_keys(ready, &["connection_id", "namespace", "user_id", "cursor", "recovery"]);
    assert!(!text(ready, "connection_id").is_empty(), "{ready}");
    assert_eq!(text(ready, "namespace"), namespace.as_str(), "{ready}");
    assert_eq!(ready.get("user_id").and_then(Value::as_str), user, "{ready}");
    assert_cursor(text(ready, "cursor"));
    let recovery = field(ready, "recovery");
    assert_keys(recovery, &["status", "replayed"]);
    assert_eq!(text(recovery, "status"), status, "{ready}");
    let replayed = field(recovery, "replayed").as_u64();
    assert!(replayed.is_some() && (status == "recovered" || replayed == Some(0)), "{ready}");
}

/// An acknowledgement of a committed event. Returns its id.
///
/// # Panics
/// Otherwise.
pub fn assert_committed<'a>(ack: &'a Value, event_type: &str, duplicate: bool) -> &'a str {
    if event_type == event::SEND_MESSAGE {
        assert_keys(ack, &["status", "event", "duplicate", "recipient"]);
        assert_keys(field(ack, "recipient"), &["connections"]);
        assert!(field(field(ack, "recipient"), "connections").is_u64(), "{ack}");
    } else {
        assert_keys(ack, &["status", "event", "duplicate"]);
    }
    assert_eq!(text(ack, "status"), "ok", "{ack}");
    assert_eq!(field(ack, "duplicate"), &Value::Bool(duplicate), "{ack}");
    let committed = field(ack, "event");
    assert_keys(committed, &["id", "type", "cursor", "created_at"]);
    assert_eq!(text(committed, "type"), event_type, "{ack}");
    assert_cursor(text(committed, "cursor"));
    assert_timestamp(text(committed, "created_at"));
    let id = text(committed, "id");
    assert_uuid(id);
    id
}

/// An acknowledgement that says why nothing was committed. Returns `error`.
///
/// # Panics
/// Otherwise.
pub fn assert_refused<'a>(ack: &'a Value, code: &str) -> &'a Value {
    assert_keys(ack, &["status", "error"]);
    assert_eq!(text(ack, "status"), "error", "{ack}");
    let error = field(ack, "error");
    assert_eq!(text(error, "code"), code, "{ack}");
    if code == "invalid_payload" {
        assert_keys(error, &["code", "message", "retryable", "fields"]);
        assert_fields(error);
    } else {
        assert_keys(error, &["code", "message", "retryable"]);
    }
    assert!(!text(error, "message").is_empty(), "{ack}");
    assert_eq!(field(error, "retryable"), &Value::Bool(is_retryable(code)), "{ack}");
    error
}

/// The payload of an `error` event: the failure of an event without a callback.
///
/// # Panics
/// Otherwise.
pub fn assert_error_event(payload: &Value, code: &str, event_type: &str) {
    assert_eq!(text(payload, "code"), code, "{payload}");
    if code == "invalid_payload" {
        assert_keys(payload, &["error", "code", "retryable", "event", "fields"]);
        assert_fields(payload);
    } else {
        assert_keys(payload, &["error", "code", "retryable", "event"]);
    }
    assert!(!text(payload, "error").is_empty(), "{payload}");
    assert_eq!(field(payload, "retryable"), &Value::Bool(is_retryable(code)), "{payload}");
    assert_eq!(text(payload, "event"), event_type, "{payload}");
}

/// An event as it is delivered: the fields of `sent` and the server's own, from `sender`.
///
/// # Panics
/// Otherwise.
pub fn assert_delivered(delivered: &Value, sent: &Value, ack: &Value, sender: &Client) {
    let own = sent.as_object().expect("what was sent is an object");
    let own = own.iter().filter(|(key, _)| *key != "request_id");
    let mut keys = vec!["id", "cursor", "created_at", "sender"];
    for (key, value) in own {
        assert_eq!(field(delivered, key), value, "{key} of {delivered}");
        keys.push(key);
    }
    assert_keys(delivered, &keys);
    for key in ["id", "cursor", "created_at"] {
        assert_eq!(text(delivered, key), text(field(ack, "event"), key), "{key} of {delivered}");
    }
    let from = field(delivered, "sender");
    assert_keys(from, &["user_id", "connection_id"]);
    assert_eq!(field(from, "user_id"), field(sender.ready(), "user_id"), "{delivered}");
    assert_eq!(text(from, "connection_id"), sender.ready_text("connection_id"), "{delivered}");
}

/// The paths that an `invalid_payload` names.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn paths(error: &Value) -> Vec<&str> {
    let fields = field(error, "fields").as_array().unwrap_or_else(|| panic!("{error}"));
    fields.iter().map(|fault| text(fault, "path")).collect()
}

/// A text field.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    field(value, key).as_str().unwrap_or_else(|| panic!("{key} is not a text: {value}"))
}

/// A field.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn field<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or_else(|| panic!("no {key}: {value}"))
}

fn assert_fields(error: &Value) {
    let fields = field(error, "fields").as_array().unwrap_or_else(|| panic!("{error}"));
    assert!(!fields.is_empty(), "{error}");
    for fault in fields {
        assert_keys(fault, &["path", "message"]);
        assert!(field(fault, "path").is_string(), "{error}");
        assert!(!text(fault, "message").is_empty(), "{error}");
    }
}

fn is_retryable(code: &str) -> bool {
    match code {
        "invalid_payload" | "unauthenticated" | "forbidden" | "idempotency_conflict" => false,
        "rate_limited" | "too_many_connections" | "unavailable" | "internal" => true,
        unknown => panic!("{unknown} is no error code"),
    }
}

fn assert_cursor(cursor: &str) {
    assert!(crate::validator::Cursor::parse(cursor).is_some(), "not a cursor: {cursor:?}");
}

fn assert_uuid(id: &str) {
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    let hexadecimal = id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    assert!(groups == [8, 4, 4, 4, 12] && hexadecimal, "not a UUID: {id:?}");
}

fn assert_timestamp(timestamp: &str) {
    let valid = timestamp.len() >= "2026-01-01T00:00:00Z".len()
        && timestamp.get(10..11) == Some("T")
        && (timestamp.ends_with('Z') || timestamp.ends_with("+00:00"));
    assert!(valid, "not an RFC 3339 time in UTC: {timestamp:?}");
}
