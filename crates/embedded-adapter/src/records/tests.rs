//! Pins the stored formats: what was written once has to be readable for ever.

use game_realtime_application::NewEvent;
use game_realtime_contract::{ConnectionBuilder, EventBuilder};

use super::*;

const BROADCAST: &str = concat!(
    r#"{"id":"00000000-0000-0000-0000-000000000001","type":"core.game.state.broadcast","#,
    r#""namespace":"guest","sender":{"user_id":null,"#,
    r#""connection_id":"00000000-0000-0000-0000-000000000002"},"created_at":1700000000000,"#,
    r#""route":{"namespace":"guest"},"payload":{"message":"h\u00e9 é\n"}}"#
);
const MESSAGE: &str = concat!(
    r#"{"id":"00000000-0000-0000-0000-000000000001","type":"core.game.state.send_message","#,
    r#""namespace":"private","sender":{"user_id":"al\"ice","#,
    r#""connection_id":"00000000-0000-0000-0000-000000000002"},"created_at":1700000000000,"#,
    r#""route":{"recipients":[{"user":"bob"},{"user":"al\"ice"}]},"#,
    r#""payload":{"target_user_id":"bob","text":"hi"}}"#
);
const MESSAGE_OF_A_GUEST: &str = concat!(
    r#"{"id":"00000000-0000-0000-0000-000000000001","type":"core.game.state.send_message","#,
    r#""namespace":"guest","sender":{"user_id":null,"#,
    r#""connection_id":"00000000-0000-0000-0000-000000000002"},"created_at":1700000000000,"#,
    r#""route":{"recipients":[{"user":"bob"},"#,
    r#"{"connection":"00000000-0000-0000-0000-000000000002"}]},"#,
    r#""payload":{"target_user_id":"bob","text":"hi"}}"#
);
const PURCHASE: &str = concat!(
    r#"{"id":"00000000-0000-0000-0000-000000000001","type":"core.game.state.buy_good","#,
    r#""namespace":"private","sender":{"user_id":"al\"ice","#,
    r#""connection_id":"00000000-0000-0000-0000-000000000002"},"created_at":1700000000000,"#,
    r#""route":{"recipients":[{"user":"al\"ice"}]},"payload":{"good_id":"sword","count":3}}"#
);
const RECEIPT: &str = concat!(
    r#"{"event_id":"00000000-0000-0000-0000-000000000001","number":7,"#,
    r#""created_at":1700000000000,"fingerprint":"00000000-0000-0000-0000-000000000003"}"#
);

#[test]
fn events_are_stored_like_this() {
    let mut guest = ConnectionBuilder::guest().build();
    let mut player = ConnectionBuilder::player("al\"ice").build();
    guest.id = ConnectionId(Uuid::from_u128(2));
    player.id = guest.id;
    let from =
        |sender| EventBuilder::from(sender).created_at(Timestamp::from_millis(1_700_000_000_000));
    let cases: [(NewEvent, &str); 4] = [
        (from(&guest).encoded(r#"{"message":"h\u00e9 é\n"}"#), BROADCAST),
        (from(&player).message("bob", "hi"), MESSAGE),
        (from(&guest).message("bob", "hi"), MESSAGE_OF_A_GUEST),
        (from(&player).purchase("sword", 3), PURCHASE),
    ];
    for (mut new, stored) in cases {
        new.event.id = EventId(Uuid::from_u128(1));
        assert_eq!(String::from_utf8(encode_event(&new).unwrap()).unwrap(), stored);
        let read = decode_event(7, stored.as_bytes()).unwrap();
        assert_eq!(read.position, position_of(7));
        assert_eq!((read.event, read.route), (new.event, new.route));
        assert_eq!(
            created_at(7, stored.as_bytes()),
            Some(Timestamp::from_millis(1_700_000_000_000))
        );
    }
}

#[test]
fn the_trace_of_an_event_is_stored_like_this() {
    let traced = format!(
        r#"{},"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}"#,
        PURCHASE.strip_suffix('}').unwrap()
    );
    let read = decode_event(7, traced.as_bytes()).unwrap();
    assert!(read.trace.is_some());
    let player = ConnectionBuilder::player("al\"ice").build();
    let mut new = EventBuilder::from(&player).purchase("sword", 3);
    (new.event, new.trace) = (read.event, read.trace);
    assert_eq!(String::from_utf8(encode_event(&new).unwrap()).unwrap(), traced);
    let nonsense = traced.replace("00-4bf9", "nonsense");
    let read = decode_event(7, nonsense.as_bytes()).unwrap();
    assert_eq!(read, decode_event(7, PURCHASE.as_bytes()).unwrap());
}

#[test]
fn receipts_are_stored_like_this() {
    let receipt = ReceiptRecord {
        event_id: EventId(Uuid::from_u128(1)),
        number: 7,
        created_at: Timestamp::from_millis(1_700_000_000_000),
        fingerprint: Uuid::from_u128(3),
    };
    let encoded = encode_receipt(b"key", &receipt).unwrap();
    assert!(encoded.starts_with(RECEIPT.as_bytes()));
    assert_eq!(encoded[RECEIPT.len()..], [138, 43, 51, 201, 101, 47, 114, 23, 1]);
    assert_eq!(decode_receipt(b"key", &encoded).unwrap(), receipt);
    assert_eq!(decode_receipt(b"key", RECEIPT.as_bytes()).unwrap(), receipt, "of format 1");
}

#[test]
fn fields_of_a_later_version_are_ignored() {
    let later = PURCHASE.replacen('{', r#"{"added":[1],"#, 1);
    assert_eq!(
        decode_event(7, later.as_bytes()).unwrap(),
        decode_event(7, PURCHASE.as_bytes()).unwrap()
    );
    let later = RECEIPT.replacen('{', r#"{"added":[1],"#, 1);
    assert_eq!(
        decode_receipt(b"key", later.as_bytes()).unwrap(),
        decode_receipt(b"key", RECEIPT.as_bytes()).unwrap()
    );
}

#[test]
fn an_event_is_sealed_like_this() {
    let sealed = seal_event(7, PURCHASE.as_bytes());
    assert!(sealed.starts_with(PURCHASE.as_bytes()));
    assert_eq!(sealed[PURCHASE.len()..], [7, 167, 227, 7, 41, 181, 241, 77, 1]);
    assert_eq!(decode_event(7, &sealed), decode_event(7, PURCHASE.as_bytes()));
    decode_event(8, &sealed).unwrap_err();
    assert_eq!(created_at(8, &sealed), None);
}

#[test]
fn what_is_not_a_record_is_unreadable_and_not_quoted() {
    for stored in [
        "",
        "{}",
        &PURCHASE.replace("buy_good", "unheard_of"),
        &PURCHASE.replace(r#"[{"user":"al\"ice"}]"#, "[]"),
        &PURCHASE.replace(r#"{"user_id":"al\"ice""#, r#"{"user_id":["al\"ice"]"#),
        &BROADCAST.replace("guest", "nowhere"),
    ] {
        let unreadable = decode_event(7, stored.as_bytes()).unwrap_err().to_string();
        assert!(!unreadable.contains("ice") && !unreadable.contains("nowhere"), "{unreadable}");
    }
    decode_receipt(b"key", b"{}").unwrap_err();
}
