//! What the file may hold, given records that this gateway never wrote.

use game_realtime_application::{NewEvent, RequestReceipt, Scope};
use game_realtime_domain::{ConnectionId, RequestId, UserId};
use game_realtime_fuzz::{
    Broken, BrokenText, below,
    bolero::{Driver, ValueGenerator},
    fuzz,
};
use uuid::Uuid;

use crate::{
    positions::{number_at, position_of},
    records::{created_at, decode_event, decode_receipt, encode_event, encode_receipt},
    tables::receipt_key,
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
    "\"route\":",
    "{\"user\":\"carol\"}",
    "{\"connection\":\"00000000-0000-0000-0000-000000000009\"}",
    "\"namespace\"",
    "guest",
    "private",
    "\"payload\":{}",
    "é",
    "\u{0}",
    "\\u0000",
];

const EVENTS: Broken = Broken::bytes(
    &[
        r#"{"id":"00000000-0000-0000-0000-000000000001","type":"core.game.state.broadcast","namespace":"guest","sender":{"user_id":null,"connection_id":"00000000-0000-0000-0000-000000000002"},"created_at":1700000000000,"route":{"namespace":"guest"},"payload":{"message":"h\u00e9"}}"#,
        r#"{"id":"00000000-0000-0000-0000-000000000001","type":"core.game.state.send_message","namespace":"private","sender":{"user_id":"alice","connection_id":"00000000-0000-0000-0000-000000000002"},"created_at":1700000000000,"route":{"recipients":[{"user":"bob"},{"connection":"00000000-0000-0000-0000-000000000002"}]},"payload":{"target_user_id":"bob","text":"hi"}}"#,
    ],
    WORDS,
);
const RECEIPTS: Broken = Broken::bytes(
    &[
        r#"{"event_id":"00000000-0000-0000-0000-000000000001","number":7,"created_at":1700000000000,"fingerprint":"00000000-0000-0000-0000-000000000003"}"#,
    ],
    WORDS,
);
const NAMES: BrokenText = Broken::text(
    &["alice", "r1", "alice\u{1}", "0000000000000000"],
    &["u", "c", "\u{1}", "0", "é", "\u{0}", "aaaaaaaaaaaaaaaa"],
);

#[test]
fn an_event_that_can_be_read_is_read_the_same_again() {
    fuzz!(EVENTS, |stored: &Vec<u8>| {
        let created = created_at(7, stored);
        let Ok(read) = decode_event(7, stored) else { return false };
        assert_eq!(number_at(read.position), 7);
        assert_eq!(created, Some(read.event.created_at));
        let new = NewEvent {
            event: read.event.clone(),
            route: read.route.clone(),
            receipt: None,
            presence_of: None,
            trace: read.trace,
        };
        let again = encode_event(&new).expect("what was JSON is JSON");
        assert_eq!(decode_event(7, &again).expect("it is ours now"), read);
        true
    });
}

#[test]
fn a_receipt_that_can_be_read_is_read_the_same_again() {
    fuzz!(RECEIPTS, |stored: &Vec<u8>| {
        let Ok(read) = decode_receipt(b"key", stored) else { return false };
        let again = encode_receipt(b"key", &read).expect("it is JSON");
        assert_eq!(decode_receipt(b"key", &again).expect("it is ours now"), read);
        true
    });
}

struct Receipts;

impl ValueGenerator for Receipts {
    type Output = [(Option<String>, [u8; 16], String); 2];

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Self::Output> {
        let one = |driver: &mut D| {
            let user = (below(driver, 2)? == 0).then(|| NAMES.generate(driver));
            let id = driver.produce::<[u8; 16]>()?.map(|byte| byte & b'u');
            Some((user.map_or(Some(None), |user| user.map(Some))?, id, NAMES.generate(driver)?))
        };
        Some([one(driver)?, one(driver)?])
    }
}

#[test]
fn no_two_requests_share_a_key() {
    fuzz!(Receipts, |pair: &[(Option<String>, [u8; 16], String); 2]| {
        let receipts = pair.clone().map(|(user, id, request)| {
            let scope = match user {
                Some(user) => Scope::User(UserId::parse(user).ok()?),
                None => Scope::Connection(ConnectionId(Uuid::from_bytes(id))),
            };
            let request_id = RequestId::try_from(request).ok()?;
            Some(RequestReceipt { scope, request_id, fingerprint: Uuid::nil() })
        });
        let [Some(one), Some(other)] = receipts else { return false };
        assert_eq!(receipt_key(&one) == receipt_key(&other), one == other, "{one:?} {other:?}");
        true
    });
}

#[test]
fn a_position_stands_for_one_number() {
    struct Numbers;
    impl ValueGenerator for Numbers {
        type Output = u64;

        fn generate<D: Driver>(&self, driver: &mut D) -> Option<u64> {
            Some(driver.produce::<u64>()? >> below(driver, 64)?)
        }
    }
    fuzz!(Numbers, |number: &u64| {
        assert_eq!(number_at(position_of(*number)), *number);
        true
    });
}
