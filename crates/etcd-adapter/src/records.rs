//! What is stored under the keys: JSON, so that an operator can read it with `etcdctl`.

use game_realtime_application::{
    EncodedPayload, NewEvent, PositionedEvent, RequestReceipt, trace::TraceContext,
};
use game_realtime_domain::{
    Connection, ConnectionId, Event, EventId, Namespace, NodeId, Position, Sender, Timestamp,
    UserId,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::keys::EventKey;

/// The version of what is stored: of the keys and of everything in this file. Raise it with every
/// change that a node of the release before would miss.
pub(crate) const FORMAT: u32 = 2;

/// What the store says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreRecord {
    /// The name of this history.
    pub(crate) epoch: String,
    /// The newest format that was written into it.
    pub(crate) format: u32,
    /// The oldest format whose nodes may still work on it. They pass over records that they cannot
    /// read.
    pub(crate) oldest_format: u32,
}

/// An event, without what its key says.
#[derive(Serialize, Deserialize)]
struct EventRecord<'a> {
    /// The player, if it was one, and the connection.
    sender: (Option<UserId>, ConnectionId),
    /// Left out if it is the time in the event's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    #[serde(borrow)]
    payload: &'a RawValue,
    /// Only of an event that is traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "TraceContext::if_valid")]
    traceparent: Option<TraceContext>,
}

/// What is known of a request that was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceiptRecord {
    #[serde(serialize_with = "uuid::serde::simple::serialize", alias = "event_id")]
    event: Uuid,
    /// The event's index in its transaction. Its revision is the one that created the receipt.
    #[serde(alias = "index")]
    pub(crate) place: u32,
    #[serde(serialize_with = "uuid::serde::simple::serialize")]
    pub(crate) fingerprint: Uuid,
    /// Left out if it is the time in the event's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
}

impl ReceiptRecord {
    pub(crate) fn event_id(&self) -> EventId {
        EventId(self.event)
    }

    pub(crate) fn created_at(&self) -> Timestamp {
        time_of(self.event_id(), self.created_at)
    }
}

/// Where a segment of a class's log begins: at the revision that created this record. The log of a
/// class begins with its oldest segment: what was committed before may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentRecord {
    /// By the clock of the node that began it.
    pub(crate) begun_at: Timestamp,
    /// What the segment before holds of the class, as far as that node saw it.
    pub(crate) before: ClassSize,
}

/// What a segment holds of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClassSize {
    pub(crate) events: u64,
    /// Of keys and values.
    pub(crate) bytes: u64,
}

/// A connection, without its id.
#[derive(Serialize, Deserialize)]
struct ConnectionRecord {
    namespace: String,
    user_id: Option<UserId>,
    node_id: NodeId,
    connected_at: Timestamp,
}

/// What is stored cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("stored {what} cannot be read")]
pub(crate) struct UnreadableRecord {
    pub(crate) what: &'static str,
    #[source]
    pub(crate) source: Option<serde_json::Error>,
}

fn unreadable(what: &'static str) -> impl FnOnce(serde_json::Error) -> UnreadableRecord {
    move |error| UnreadableRecord { what, source: Some(error) }
}

/// When an event was created: as its record says, or as its id does.
fn time_of(id: EventId, recorded: Option<Timestamp>) -> Timestamp {
    recorded.or_else(|| time_in(id)).unwrap_or_else(|| Timestamp::from_millis(0))
}

/// The time in a UUID of version 7 (RFC 9562): milliseconds in its first 48 bits.
fn time_in(id: EventId) -> Option<Timestamp> {
    let [a, b, c, d, e, f, ..] = *id.0.as_bytes();
    let millis = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    (id.0.get_version_num() == 7).then(|| Timestamp::from_millis(millis))
}

/// What has to be recorded of a time that may be in an event's id.
fn time_beside(id: EventId, created_at: Timestamp) -> Option<Timestamp> {
    (time_in(id) != Some(created_at)).then_some(created_at)
}

pub(crate) fn encode_event(new: &NewEvent) -> Result<Vec<u8>, serde_json::Error> {
    let event = &new.event;
    serde_json::to_vec(&EventRecord {
        sender: (event.sender.user_id.clone(), event.sender.connection_id),
        created_at: time_beside(event.id, event.created_at),
        payload: serde_json::from_str(&event.payload.json)?,
        traceparent: new.trace,
    })
}

pub(crate) fn decode_event(
    key: EventKey,
    revision: u64,
    value: &[u8],
) -> Result<PositionedEvent, UnreadableRecord> {
    let record: EventRecord<'_> = serde_json::from_slice(value).map_err(unreadable("event"))?;
    let (user_id, connection_id) = record.sender;
    Ok(PositionedEvent {
        position: Position::new(revision, u32::from(key.place)),
        event: Event {
            id: key.id,
            namespace: key.namespace,
            sender: Sender { user_id, connection_id },
            created_at: time_of(key.id, record.created_at),
            payload: EncodedPayload {
                event_type: key.event_type,
                json: record.payload.get().into(),
            },
        },
        route: key.route,
        trace: record.traceparent,
    })
}

pub(crate) fn encode_receipt(
    receipt: &RequestReceipt,
    event: &NewEvent,
    place: u32,
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&ReceiptRecord {
        event: event.event.id.0,
        place,
        fingerprint: receipt.fingerprint,
        created_at: time_beside(event.event.id, event.event.created_at),
    })
}

pub(crate) fn decode_receipt(value: &[u8]) -> Result<ReceiptRecord, UnreadableRecord> {
    serde_json::from_slice(value).map_err(unreadable("receipt"))
}

pub(crate) fn encode_connection(connection: &Connection) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&ConnectionRecord {
        namespace: connection.namespace.to_string(),
        user_id: connection.user_id.clone(),
        node_id: connection.node_id,
        connected_at: connection.connected_at,
    })
}

pub(crate) fn decode_connection(
    id: ConnectionId,
    value: &[u8],
) -> Result<Connection, UnreadableRecord> {
    let record: ConnectionRecord =
        serde_json::from_slice(value).map_err(unreadable("connection"))?;
    let namespace: Namespace = record
        .namespace
        .parse()
        .map_err(|_| UnreadableRecord { what: "connection", source: None })?;
    Ok(Connection {
        id,
        namespace,
        user_id: record.user_id,
        node_id: record.node_id,
        connected_at: record.connected_at,
    })
}

#[cfg(test)]
mod tests {
    use game_realtime_domain::{EventType, RequestId, Route};
    use proptest::prelude::*;

    use super::*;

    fn new_event() -> NewEvent {
        let event = Event {
            id: EventId(Uuid::from_u128(3)),
            namespace: Namespace::Private,
            sender: Sender {
                user_id: Some(UserId::parse("alice").unwrap()),
                connection_id: ConnectionId(Uuid::from_u128(1)),
            },
            created_at: Timestamp::from_millis(1_795_000_000_123),
            payload: game_realtime_domain::Broadcast { message: "hé\"llo".to_owned() },
        };
        let request_id: RequestId = String::from("r1").try_into().unwrap();
        NewEvent::encode(event, Some(request_id)).unwrap()
    }

    fn key() -> EventKey {
        EventKey {
            event_type: EventType::Broadcast,
            known: 5,
            place: 2,
            namespace: Namespace::Private,
            route: Route::Namespace(Namespace::Private),
            id: EventId(Uuid::from_u128(3)),
        }
    }

    #[test]
    fn the_stored_format_of_an_event() {
        let new = new_event();
        let stored = encode_event(&new).unwrap();
        insta::assert_snapshot!(String::from_utf8(stored.clone()).unwrap(), @r#"{"sender":["alice","00000000-0000-0000-0000-000000000001"],"created_at":1795000000123,"payload":{"message":"hé\"llo"}}"#);
        let read = decode_event(key(), 7, &stored).unwrap();
        assert_eq!(read.event, new.event);
        assert_eq!(read.position, Position::new(7, 2));
        assert_eq!(read.trace, None);
    }

    #[test]
    fn the_stored_format_of_a_traced_event() {
        let mut new = new_event();
        new.trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok();
        let stored = String::from_utf8(encode_event(&new).unwrap()).unwrap();
        insta::assert_snapshot!(stored, @r#"{"sender":["alice","00000000-0000-0000-0000-000000000001"],"created_at":1795000000123,"payload":{"message":"hé\"llo"},"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#);
        let read = decode_event(key(), 7, stored.as_bytes()).unwrap();
        assert_eq!((read.event, read.trace), (new.event, new.trace));
        assert!(read.trace.is_some());
    }

    #[test]
    fn an_event_is_read_whatever_else_is_in_its_record() {
        let stored = String::from_utf8(encode_event(&new_event()).unwrap()).unwrap();
        let expected = decode_event(key(), 7, stored.as_bytes()).unwrap();
        for more in [
            r#""traceparent":null"#,
            r#""traceparent":{"version":1}"#,
            r#""traceparent":"01-x""#,
            r#""of_a_later_version":[1]"#,
        ] {
            let stored = stored.replacen('{', &format!("{{{more},"), 1);
            assert_eq!(decode_event(key(), 7, stored.as_bytes()).unwrap(), expected, "{more}");
        }
    }

    #[test]
    fn the_stored_format_of_a_receipt() {
        let new = new_event();
        let stored = encode_receipt(new.receipt.as_ref().unwrap(), &new, 2).unwrap();
        insta::assert_snapshot!(String::from_utf8(stored).unwrap(), @r#"{"event":"00000000000000000000000000000003","place":2,"fingerprint":"c25b851d3c255608aee474893fddd8ee","created_at":1795000000123}"#);
    }

    #[test]
    fn the_receipt_of_an_older_release_is_read() {
        let old = br#"{"fingerprint":"c25b851d-3c25-5608-aee4-74893fddd8ee","event_id":"00000000-0000-0000-0000-000000000003","index":2,"created_at":1795000000123}"#;
        let new = new_event();
        let stored = encode_receipt(new.receipt.as_ref().unwrap(), &new, 2).unwrap();
        assert_eq!(decode_receipt(old).unwrap(), decode_receipt(&stored).unwrap());
    }

    proptest! {
        #[test]
        fn the_time_of_an_event_is_read_whether_its_id_has_it_or_not(
            id: u128, millis in 0..1_u64 << 48, with_time: bool,
        ) {
            let mut new = new_event();
            let created_at = Timestamp::from_millis(millis);
            let stamped = (u128::from(millis) << 80) | (0x7 << 76) | (0b10 << 62) | (id >> 70);
            new.event.id = EventId(Uuid::from_u128(if with_time { stamped } else { id }));
            new.event.created_at = created_at;
            let stored = encode_event(&new).unwrap();
            prop_assert!(!with_time || !String::from_utf8(stored.clone())?.contains("created_at"));
            let key = EventKey { id: new.event.id, ..key() };
            prop_assert_eq!(decode_event(key, 7, &stored).unwrap().event, new.event);
        }
    }

    #[test]
    fn the_stored_format_of_a_connection() {
        let connection = Connection {
            id: ConnectionId(Uuid::from_u128(1)),
            namespace: Namespace::Guest,
            user_id: None,
            node_id: NodeId(Uuid::from_u128(2)),
            connected_at: Timestamp::from_millis(1_795_000_000_123),
        };
        let stored = encode_connection(&connection).unwrap();
        insta::assert_snapshot!(String::from_utf8(stored.clone()).unwrap(), @r#"{"namespace":"guest","user_id":null,"node_id":"00000000-0000-0000-0000-000000000002","connected_at":1795000000123}"#);
        assert_eq!(decode_connection(connection.id, &stored).unwrap(), connection);
    }
}
