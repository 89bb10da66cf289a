//! The public wire format: event names and the JSON that clients see. Its only home.

use game_realtime_application::{OutgoingEvent, Recovery, ports::Appended};
use game_realtime_domain::{Connection, Cursor, Timestamp};
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::value::RawValue;

use crate::error_code::Failure;

/// Emitted once per connection, before any other event.
pub(crate) const READY: &str = "core.game.connection.ready";
/// How a failure is told when the client gave no callback.
pub(crate) const ERROR: &str = "error";

/// What a connection is told when it may start.
#[derive(Serialize)]
pub(crate) struct Ready<'a> {
    connection_id: String,
    namespace: &'static str,
    user_id: Option<&'a str>,
    cursor: String,
    recovery: RecoveryReport,
}

#[derive(Serialize)]
struct RecoveryReport {
    status: &'static str,
    replayed: usize,
}

impl<'a> Ready<'a> {
    pub(crate) fn new(connection: &'a Connection, cursor: &Cursor, recovery: Recovery) -> Self {
        let (status, replayed) = match recovery {
            Recovery::Fresh => ("fresh", 0),
            Recovery::Recovered(events) => ("recovered", events),
            Recovery::Gap => ("gap", 0),
        };
        Self {
            connection_id: connection.id.to_string(),
            namespace: connection.namespace.as_str(),
            user_id: connection.user_id.as_ref().map(game_realtime_domain::UserId::as_str),
            cursor: cursor.to_string(),
            recovery: RecoveryReport { status, replayed },
        }
    }

    pub(crate) fn status(&self) -> &'static str {
        self.recovery.status
    }
}

/// The one answer to a client's event.
pub(crate) enum Answer {
    /// It is committed.
    Committed { event_type: &'static str, appended: Appended },
    /// It is not, or nobody knows.
    Failed(Failure),
}

#[derive(Serialize)]
struct CommittedEvent<'a> {
    id: String,
    r#type: &'a str,
    cursor: String,
    created_at: String,
}

#[derive(Serialize)]
struct Presence {
    connections: u64,
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Committed { event_type, appended } => {
                let mut answer = serializer.serialize_struct("Answer", 4)?;
                answer.serialize_field("status", "ok")?;
                let event = CommittedEvent {
                    id: appended.event_id.to_string(),
                    r#type: event_type,
                    cursor: appended.cursor.to_string(),
                    created_at: rfc3339(appended.created_at),
                };
                answer.serialize_field("event", &event)?;
                answer.serialize_field("duplicate", &appended.duplicate)?;
                if let Some(connections) = appended.recipient_connections {
                    answer.serialize_field("recipient", &Presence { connections })?;
                }
                answer.end()
            }
            Self::Failed(failure) => {
                let mut answer = serializer.serialize_struct("Answer", 2)?;
                answer.serialize_field("status", "error")?;
                answer.serialize_field("error", failure)?;
                answer.end()
            }
        }
    }
}

/// A failure as it is emitted when there is no callback to call.
#[derive(Serialize)]
pub(crate) struct ErrorEvent<'a> {
    error: &'a str,
    code: &'static str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'a [crate::error_code::FieldFault]>,
    event: &'a str,
}

impl<'a> ErrorEvent<'a> {
    pub(crate) fn new(failure: &'a Failure, event: &'a str) -> Self {
        Self {
            error: &failure.message,
            code: failure.code.as_str(),
            retryable: failure.code.retryable(),
            fields: failure.fields.as_deref(),
            event,
        }
    }
}

/// The one argument of a domain event sent to clients: the payload's own fields, then what the
/// gateway adds.
pub(crate) fn event_body(outgoing: &OutgoingEvent) -> String {
    #[derive(Serialize)]
    struct Added<'a> {
        id: String,
        cursor: &'a str,
        created_at: String,
        sender: &'a game_realtime_domain::Sender,
    }
    let event = &outgoing.event().event;
    let added = Added {
        id: event.id.to_string(),
        cursor: outgoing.cursor(),
        created_at: rfc3339(event.created_at),
        sender: &event.sender,
    };
    // Both are JSON objects without surrounding white space, and neither is empty: one object is
    // made of the two by joining them where the first ends and the second begins.
    let added = serde_json::to_string(&added).unwrap_or_default();
    let payload = event.payload.json.strip_suffix('}').unwrap_or_default();
    let added = added.strip_prefix('{').unwrap_or_default();
    let mut body = String::with_capacity(payload.len() + 1 + added.len());
    body.push_str(payload);
    if payload.len() > 1 {
        body.push(',');
    }
    body.push_str(added);
    body
}

/// A body that is already JSON.
pub(crate) fn raw(body: String) -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(body)
}

/// A time as clients see it: RFC 3339, UTC, milliseconds.
fn rfc3339(time: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    i64::try_from(time.as_millis())
        .ok()
        .and_then(|milliseconds| jiff::Timestamp::from_millisecond(milliseconds).ok())
        .map(|time| PRINTER.timestamp_to_string(&time))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use game_realtime_application::{EncodedPayload, PositionedEvent};
    use game_realtime_domain::{
        ConnectionId, Epoch, Event, EventId, EventType, Namespace, NodeId, Position, Route, Sender,
        UserId,
    };
    use uuid::Uuid;

    use super::*;
    use crate::error_code::{ErrorCode, FieldFault};

    const TIME: Timestamp = Timestamp::from_millis(1_795_000_000_123);

    fn connection() -> Connection {
        Connection {
            id: ConnectionId(Uuid::from_u128(1)),
            namespace: Namespace::Private,
            user_id: Some(UserId::parse("alice").unwrap()),
            node_id: NodeId(Uuid::from_u128(2)),
            connected_at: TIME,
        }
    }

    fn cursor() -> Cursor {
        Cursor { epoch: Epoch::parse("e1").unwrap(), position: Position::new(7, 2) }
    }

    #[test]
    fn the_wire_format_of_an_event() {
        let event = PositionedEvent {
            position: cursor().position,
            event: Event {
                id: EventId(Uuid::from_u128(3)),
                namespace: Namespace::Private,
                sender: Sender::of(&connection()),
                created_at: TIME,
                payload: EncodedPayload {
                    event_type: EventType::Broadcast,
                    json: r#"{"message":"h\"i"}"#.into(),
                },
            },
            route: Route::Namespace(Namespace::Private),
            trace: None,
        };
        insta::assert_snapshot!(
            event_body(&OutgoingEvent::new(event, &cursor().epoch)),
            @r#"{"message":"h\"i","id":"00000000-0000-0000-0000-000000000003","cursor":"e1:7.2","created_at":"2026-11-18T11:06:40.123Z","sender":{"user_id":"alice","connection_id":"00000000-0000-0000-0000-000000000001"}}"#
        );
    }

    #[test]
    fn the_wire_format_of_ready() {
        let connection = connection();
        let ready = Ready::new(&connection, &cursor(), Recovery::Recovered(3));
        insta::assert_snapshot!(
            serde_json::to_string(&ready).unwrap(),
            @r#"{"connection_id":"00000000-0000-0000-0000-000000000001","namespace":"private","user_id":"alice","cursor":"e1:7.2","recovery":{"status":"recovered","replayed":3}}"#
        );
    }

    #[test]
    fn the_wire_format_of_answers() {
        let appended = Appended {
            event_id: EventId(Uuid::from_u128(3)),
            cursor: cursor(),
            created_at: TIME,
            duplicate: false,
            recipient_connections: Some(2),
        };
        let committed = Answer::Committed { event_type: EventType::SendMessage.as_str(), appended };
        insta::assert_snapshot!(
            serde_json::to_string(&committed).unwrap(),
            @r#"{"status":"ok","event":{"id":"00000000-0000-0000-0000-000000000003","type":"core.game.state.send_message","cursor":"e1:7.2","created_at":"2026-11-18T11:06:40.123Z"},"duplicate":false,"recipient":{"connections":2}}"#
        );
        let fault = FieldFault { path: "count".to_owned(), message: "lower than 1".to_owned() };
        let failure = Failure::invalid(vec![fault]);
        insta::assert_snapshot!(
            serde_json::to_string(&ErrorEvent::new(&failure, "core.game.state.buy_good")).unwrap(),
            @r#"{"error":"invalid payload","code":"invalid_payload","retryable":false,"fields":[{"path":"count","message":"lower than 1"}],"event":"core.game.state.buy_good"}"#
        );
        insta::assert_snapshot!(
            serde_json::to_string(&Answer::Failed(failure)).unwrap(),
            @r#"{"status":"error","error":{"code":"invalid_payload","message":"invalid payload","retryable":false,"fields":[{"path":"count","message":"lower than 1"}]}}"#
        );
        insta::assert_snapshot!(
            serde_json::to_string(&Answer::Failed(Failure::of(ErrorCode::Unavailable))).unwrap(),
            @r#"{"status":"error","error":{"code":"unavailable","message":"the store cannot be reached now","retryable":true}}"#
        );
    }
}
