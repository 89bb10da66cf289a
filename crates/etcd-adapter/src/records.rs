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

/// An event, without what its key says already.
#[derive(Serialize, Deserialize)]
struct EventRecord<'a> {
    id: EventId,
    sender: Sender,
    created_at: Timestamp,
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
    pub(crate) fingerprint: Uuid,
    pub(crate) event_id: EventId,
    /// The event's index in its transaction. Its revision is the one that created the receipt.
    pub(crate) index: u32,
    pub(crate) created_at: Timestamp,
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

pub(crate) fn encode_event(new: &NewEvent) -> Result<Vec<u8>, serde_json::Error> {
    let event = &new.event;
    serde_json::to_vec(&EventRecord {
        id: event.id,
        sender: event.sender.clone(),
        created_at: event.created_at,
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
    Ok(PositionedEvent {
        position: Position::new(revision, u32::from(key.index)),
        event: Event {
            id: record.id,
            namespace: key.namespace,
            sender: record.sender,
            created_at: record.created_at,
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
    index: u32,
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&ReceiptRecord {
        fingerprint: receipt.fingerprint,
        event_id: event.event.id,
        index,
        created_at: event.event.created_at,
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
            stamp: 5,
            node: 1,
            index: 2,
            namespace: Namespace::Private,
            route: Route::Namespace(Namespace::Private),
        }
    }

    #[test]
    fn the_stored_format_of_an_event() {
        let new = new_event();
        let stored = encode_event(&new).unwrap();
        insta::assert_snapshot!(String::from_utf8(stored.clone()).unwrap(), @r#"{"id":"00000000-0000-0000-0000-000000000003","sender":{"user_id":"alice","connection_id":"00000000-0000-0000-0000-000000000001"},"created_at":1795000000123,"payload":{"message":"hé\"llo"}}"#);
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
        insta::assert_snapshot!(stored, @r#"{"id":"00000000-0000-0000-0000-000000000003","sender":{"user_id":"alice","connection_id":"00000000-0000-0000-0000-000000000001"},"created_at":1795000000123,"payload":{"message":"hé\"llo"},"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#);
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
        insta::assert_snapshot!(String::from_utf8(stored).unwrap(), @r#"{"fingerprint":"c25b851d-3c25-5608-aee4-74893fddd8ee","event_id":"00000000-0000-0000-0000-000000000003","index":2,"created_at":1795000000123}"#);
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
