//! An event as everybody reads it: one JSON object.

use serde::Serialize;

use super::rfc3339;
use crate::record::RecordedEvent;

/// The payload's own fields, then what the gateway adds.
#[must_use]
pub fn event_body(event: &RecordedEvent, cursor: &str) -> String {
    #[derive(Serialize)]
    struct Added<'a> {
        id: String,
        cursor: &'a str,
        created_at: String,
        sender: &'a game_realtime_domain::Sender,
    }
    let added = Added {
        id: event.id.to_string(),
        cursor,
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

#[cfg(test)]
mod tests {
    use game_realtime_domain::{
        ConnectionId, Event, EventId, EventType, Namespace, Sender, Timestamp, UserId,
    };
    use uuid::Uuid;

    use super::*;
    use crate::record::EncodedPayload;

    fn event(sender: Sender) -> RecordedEvent {
        Event {
            id: EventId(Uuid::from_u128(3)),
            namespace: Namespace::Private,
            sender,
            created_at: Timestamp::from_millis(1_795_000_000_123),
            payload: EncodedPayload {
                event_type: EventType::Broadcast,
                json: r#"{"message":"h\"i"}"#.into(),
            },
        }
    }

    #[test]
    fn the_wire_format_of_an_event_that_an_operator_sent() {
        insta::assert_snapshot!(
            event_body(&event(Sender::SYSTEM), "e1:7.2"),
            @r#"{"message":"h\"i","id":"00000000-0000-0000-0000-000000000003","cursor":"e1:7.2","created_at":"2026-11-18T11:06:40.123Z","sender":{"user_id":null,"connection_id":"00000000-0000-0000-0000-000000000000"}}"#
        );
        let alice = Sender::on_behalf_of(UserId::parse("alice").unwrap());
        insta::assert_snapshot!(
            event_body(&event(alice), "e1:7.2"),
            @r#"{"message":"h\"i","id":"00000000-0000-0000-0000-000000000003","cursor":"e1:7.2","created_at":"2026-11-18T11:06:40.123Z","sender":{"user_id":"alice","connection_id":"00000000-0000-0000-0000-000000000000"}}"#
        );
    }

    #[test]
    fn the_wire_format_of_an_event() {
        let alice = Sender {
            user_id: Some(UserId::parse("alice").unwrap()),
            connection_id: ConnectionId(Uuid::from_u128(1)),
        };
        insta::assert_snapshot!(
            event_body(&event(alice), "e1:7.2"),
            @r#"{"message":"h\"i","id":"00000000-0000-0000-0000-000000000003","cursor":"e1:7.2","created_at":"2026-11-18T11:06:40.123Z","sender":{"user_id":"alice","connection_id":"00000000-0000-0000-0000-000000000001"}}"#
        );
    }
}
