//! The one answer to an event.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{Failure, rfc3339};
use crate::ports::Appended;

/// What became of an event, as whoever sent it is told.
pub enum Answer {
    /// It is committed.
    Committed {
        /// The name of the event.
        event_type: &'static str,
        /// The committed event.
        appended: Appended,
    },
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

#[cfg(test)]
mod tests {
    use game_realtime_domain::{Cursor, Epoch, EventId, EventType, Position, Timestamp};
    use uuid::Uuid;

    use super::*;
    use crate::wire::{ErrorCode, FieldFault};

    #[test]
    fn the_wire_format_of_answers() {
        let appended = Appended {
            event_id: EventId(Uuid::from_u128(3)),
            cursor: Cursor { epoch: Epoch::parse("e1").unwrap(), position: Position::new(7, 2) },
            created_at: Timestamp::from_millis(1_795_000_000_123),
            duplicate: false,
            recipient_connections: Some(2),
        };
        let committed = Answer::Committed { event_type: EventType::SendMessage.as_str(), appended };
        insta::assert_snapshot!(
            serde_json::to_string(&committed).unwrap(),
            @r#"{"status":"ok","event":{"id":"00000000-0000-0000-0000-000000000003","type":"core.game.state.send_message","cursor":"e1:7.2","created_at":"2026-11-18T11:06:40.123Z"},"duplicate":false,"recipient":{"connections":2}}"#
        );
        let fault = FieldFault {
            path: "count".to_owned(),
            message: "must be a whole number of at least 1".to_owned(),
        };
        insta::assert_snapshot!(
            serde_json::to_string(&Answer::Failed(Failure::invalid(vec![fault]))).unwrap(),
            @r#"{"status":"error","error":{"code":"invalid_payload","message":"invalid payload","retryable":false,"fields":[{"path":"count","message":"must be a whole number of at least 1"}]}}"#
        );
        insta::assert_snapshot!(
            serde_json::to_string(&Answer::Failed(Failure::of(ErrorCode::Unavailable))).unwrap(),
            @r#"{"status":"error","error":{"code":"unavailable","message":"the store cannot be reached now","retryable":true}}"#
        );
    }
}
