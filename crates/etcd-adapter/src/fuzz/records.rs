//! Values: whatever can be read is read the same again.

use game_realtime_application::NewEvent;
use game_realtime_domain::{ConnectionId, EventId, EventType, Namespace, Position, Route};
use game_realtime_fuzz::{Broken, fuzz};
use uuid::Uuid;

use crate::{
    keys::EventKey,
    records::{self, SegmentRecord},
};

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "0",
    "-1",
    "1e999",
    "18446744073709551616",
    "\\ud800",
    "\"user_id\":",
    "\"id\":",
    "\"payload\":{}",
    "\"index\":4294967296",
    "guest",
    "é",
    "\u{0}",
    "\\u0000",
    "00000000-0000-0000-0000-000000000009",
];

const EVENTS: Broken = Broken::bytes(
    &[
        r#"{"sender":["alice","00000000-0000-0000-0000-000000000001"],"created_at":1795000000123,"payload":{"message":"h\"i"}}"#,
        r#"{"sender":[null,"00000000-0000-0000-0000-000000000001"],"created_at":0,"payload":{"good_id":"x","count":1},"later":[1]}"#,
    ],
    WORDS,
);
const RECEIPTS: Broken = Broken::bytes(
    &[
        r#"{"event":"00000000000000000000000000000003","place":2,"fingerprint":"c25b851d3c255608aee474893fddd8ee","created_at":1795000000123}"#,
        r#"{"fingerprint":"c25b851d-3c25-5608-aee4-74893fddd8ee","event_id":"00000000-0000-0000-0000-000000000003","index":2,"created_at":1795000000123}"#,
    ],
    WORDS,
);
const CONNECTIONS: Broken = Broken::bytes(
    &[
        r#"{"namespace":"guest","user_id":null,"node_id":"00000000-0000-0000-0000-000000000002","connected_at":1795000000123}"#,
        r#"{"namespace":"private","user_id":"alice","node_id":"00000000-0000-0000-0000-000000000002","connected_at":1}"#,
    ],
    WORDS,
);
const SEGMENTS: Broken = Broken::bytes(
    &[r#"{"begun_at":1795000000123,"before":{"events":16384,"bytes":8388608}}"#],
    WORDS,
);

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
fn an_event_that_can_be_read_is_read_the_same_again() {
    fuzz!(EVENTS, |stored: &Vec<u8>| {
        let Ok(read) = records::decode_event(key(), 7, stored) else { return false };
        assert_eq!(read.position, Position::new(7, 2));
        assert!(read.event.payload.json.len() <= stored.len());
        let new = NewEvent {
            event: read.event.clone(),
            route: read.route.clone(),
            receipt: None,
            presence_of: None,
            trace: read.trace,
        };
        let again = records::encode_event(&new).expect("what was JSON is JSON");
        assert_eq!(records::decode_event(key(), 7, &again).expect("it is ours now"), read);
        true
    });
}

#[test]
fn a_receipt_that_can_be_read_is_read_the_same_again() {
    fuzz!(RECEIPTS, |stored: &Vec<u8>| {
        let Ok(read) = records::decode_receipt(stored) else { return false };
        let again = serde_json::to_vec(&read).expect("it is JSON");
        assert_eq!(records::decode_receipt(&again).expect("it is ours now"), read);
        true
    });
}

#[test]
fn a_connection_that_can_be_read_is_read_the_same_again() {
    let id = ConnectionId(Uuid::from_u128(1));
    fuzz!(CONNECTIONS, |stored: &Vec<u8>| {
        let Ok(read) = records::decode_connection(id, stored) else { return false };
        let again = records::encode_connection(&read).expect("it is JSON");
        assert_eq!(records::decode_connection(id, &again).expect("it is ours now"), read);
        true
    });
}

#[test]
fn a_segment_that_can_be_read_is_read_the_same_again() {
    fuzz!(SEGMENTS, |stored: &Vec<u8>| {
        let Ok(read) = serde_json::from_slice::<SegmentRecord>(stored) else { return false };
        let again = serde_json::to_vec(&read).expect("it is JSON");
        assert_eq!(serde_json::from_slice::<SegmentRecord>(&again).expect("it is ours now"), read);
        true
    });
}
