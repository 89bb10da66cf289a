//! The stored formats. They outlive the program that wrote them: fields may be added, with a
//! default, but never renamed or given another meaning.

mod seal;

use std::sync::Arc;

use game_realtime_application::{
    EncodedPayload, NewEvent, PositionedEvent, RecordedEvent, trace::TraceContext,
};
use game_realtime_domain::{
    ConnectionId, Event, EventId, EventType, Namespace, Recipient, Route, Sender, Timestamp, UserId,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{fault::Fault, positions::position_of};

/// The version of everything in this file and in `tables.rs`. A file with a greater one is not
/// opened; one with a smaller one is upgraded (`upgrade.rs`). Raise it only for what older programs
/// would read wrongly.
///
/// 2: purchases outlive other events, so the log has holes; records are sealed; receipts are listed
/// by number and class.
pub(crate) const FORMAT: u64 = 2;

/// Why a record cannot be read. Says nothing of what the record holds: it goes into the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(String);

/// An event.
#[derive(Serialize, Deserialize)]
struct EventRecord<'a> {
    id: EventId,
    #[serde(rename = "type")]
    event_type: &'a str,
    namespace: &'a str,
    sender: Sender,
    created_at: Timestamp,
    route: RouteRecord<'a>,
    #[serde(borrow)]
    payload: &'a RawValue,
    /// Only of an event that is traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "TraceContext::if_valid")]
    traceparent: Option<TraceContext>,
}

/// Whom an event concerns.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RouteRecord<'a> {
    Namespace(&'a str),
    Recipients(Vec<RecipientRecord>),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RecipientRecord {
    User(UserId),
    Connection(ConnectionId),
}

/// The part of an event that pruning looks at.
#[derive(Deserialize)]
struct AgeRecord {
    created_at: Timestamp,
}

/// What became of a `request_id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceiptRecord {
    pub(crate) event_id: EventId,
    pub(crate) number: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) fingerprint: Uuid,
}

/// Encodes an event.
pub(crate) fn encode_event(new: &NewEvent) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&EventRecord {
        id: new.event.id,
        event_type: new.event.payload.event_type.as_str(),
        namespace: new.event.namespace.as_str(),
        sender: new.event.sender.clone(),
        created_at: new.event.created_at,
        route: match &new.route {
            Route::Namespace(namespace) => RouteRecord::Namespace(namespace.as_str()),
            Route::One(only) => RouteRecord::Recipients(vec![only.into()]),
            Route::Two(first, second) => RouteRecord::Recipients(vec![first.into(), second.into()]),
        },
        payload: serde_json::from_str(&new.event.payload.json)?,
        traceparent: new.trace,
    })
}

/// Event `number` as it is stored.
pub(crate) fn seal_event(number: u64, record: &[u8]) -> Vec<u8> {
    seal::close(&number.to_be_bytes(), record)
}

/// Decodes event `number`.
pub(crate) fn decode_event(number: u64, stored: &[u8]) -> Result<PositionedEvent, Unreadable> {
    let record = seal::open(&number.to_be_bytes(), stored).ok_or_else(damaged)?;
    let record: EventRecord<'_> = serde_json::from_slice(record).map_err(|e| malformed(&e))?;
    let namespace: Namespace = record.namespace.parse().map_err(unknown)?;
    let event_type: EventType = record.event_type.parse().map_err(unknown)?;
    let route = match record.route {
        RouteRecord::Namespace(name) => Route::Namespace(name.parse().map_err(unknown)?),
        RouteRecord::Recipients(recipients) => {
            let mut recipients = recipients.into_iter().map(Recipient::from);
            match (recipients.next(), recipients.next(), recipients.next()) {
                (Some(only), None, None) => Route::One(only),
                (Some(first), Some(second), None) => Route::Two(first, second),
                _ => return Err(unknown("it has not one or two recipients")),
            }
        }
    };
    Ok(PositionedEvent {
        position: position_of(number),
        event: RecordedEvent::from(Event {
            id: record.id,
            namespace,
            sender: record.sender,
            created_at: record.created_at,
            payload: EncodedPayload { event_type, json: Arc::from(record.payload.get()) },
        }),
        route,
        trace: record.traceparent,
    })
}

/// When event `number` was created; `None` if the record cannot be read.
pub(crate) fn created_at(number: u64, stored: &[u8]) -> Option<Timestamp> {
    let record = seal::open(&number.to_be_bytes(), stored)?;
    serde_json::from_slice(record).ok().map(|AgeRecord { created_at }| created_at)
}

/// Encodes the receipt with this key.
pub(crate) fn encode_receipt(key: &[u8], receipt: &ReceiptRecord) -> Result<Vec<u8>, Fault> {
    let record = serde_json::to_vec(receipt).map_err(|error| Fault::corrupt(error.to_string()))?;
    Ok(seal::close(key, &record))
}

/// Decodes the receipt with this key.
pub(crate) fn decode_receipt(key: &[u8], stored: &[u8]) -> Result<ReceiptRecord, Unreadable> {
    let record = seal::open(key, stored).ok_or_else(damaged)?;
    serde_json::from_slice(record).map_err(|error| malformed(&error))
}

fn damaged() -> Unreadable {
    Unreadable("its checksum is wrong".to_owned())
}

/// The error's own words may quote the record.
fn malformed(error: &serde_json::Error) -> Unreadable {
    Unreadable(format!("{:?} error in column {}", error.classify(), error.column()))
}

fn unknown(what: impl std::fmt::Display) -> Unreadable {
    Unreadable(what.to_string())
}

impl From<&Recipient> for RecipientRecord {
    fn from(recipient: &Recipient) -> Self {
        match recipient {
            Recipient::User(user_id) => Self::User(user_id.clone()),
            Recipient::Connection(id) => Self::Connection(*id),
        }
    }
}

impl From<RecipientRecord> for Recipient {
    fn from(recipient: RecipientRecord) -> Self {
        match recipient {
            RecipientRecord::User(user_id) => Self::User(user_id),
            RecipientRecord::Connection(id) => Self::Connection(id),
        }
    }
}

#[cfg(test)]
mod tests;
