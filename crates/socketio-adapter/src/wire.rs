//! What this transport adds to the public wire format: its own events and their JSON. (What all
//! transports share is `game_realtime_application::wire`.)

use game_realtime_application::{
    Recovery,
    wire::{Failure, FieldFault},
};
use game_realtime_domain::{Connection, Cursor};
use serde::Serialize;
use serde_json::value::RawValue;

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

/// A failure as it is emitted when there is no callback to call.
#[derive(Serialize)]
pub(crate) struct ErrorEvent<'a> {
    error: &'a str,
    code: &'static str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'a [FieldFault]>,
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

/// A body that is already JSON.
pub(crate) fn raw(body: String) -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(body)
}

#[cfg(test)]
mod tests {
    use game_realtime_domain::{
        ConnectionId, Epoch, Namespace, NodeId, Position, Timestamp, UserId,
    };
    use uuid::Uuid;

    use super::*;

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
    fn the_wire_format_of_ready() {
        let connection = connection();
        let ready = Ready::new(&connection, &cursor(), Recovery::Recovered(3));
        insta::assert_snapshot!(
            serde_json::to_string(&ready).unwrap(),
            @r#"{"connection_id":"00000000-0000-0000-0000-000000000001","namespace":"private","user_id":"alice","cursor":"e1:7.2","recovery":{"status":"recovered","replayed":3}}"#
        );
    }

    #[test]
    fn the_wire_format_of_an_error() {
        let fault = FieldFault {
            path: "count".to_owned(),
            message: "must be a whole number of at least 1".to_owned(),
        };
        let failure = Failure::invalid(vec![fault]);
        insta::assert_snapshot!(
            serde_json::to_string(&ErrorEvent::new(&failure, "core.game.state.buy_good")).unwrap(),
            @r#"{"error":"invalid payload","code":"invalid_payload","retryable":false,"fields":[{"path":"count","message":"must be a whole number of at least 1"}],"event":"core.game.state.buy_good"}"#
        );
    }
}
