//! Keys: what they say, and that no two things share one.

use game_realtime_application::Scope;
use game_realtime_domain::{
    Connection, ConnectionId, Namespace, NodeId, RequestId, Timestamp, UserId,
};
use game_realtime_fuzz::{
    Broken, BrokenText, below,
    bolero::{Driver, ValueGenerator},
    fuzz,
};
use uuid::Uuid;

use crate::keys::{Keys, connection_of};

const KEYS: BrokenText = Broken::text(
    &[
        "/p/log/send_message/fe5e11a9a184ffe/private/user:alice%2F%C3%A4/connection:00000000-0000-0000-0000-000000000001/00000000000000000000000000000009",
        "/p/log/broadcast/ffffffffffffffe/guest/00000000000000000000000000000009",
        "/p/log/buy_good/000000000000000/private/user:bob/00000000-0000-0000-0000-000000000009",
        "/p/log/segments/state/000000000017",
        "/p/connections/00000000-0000-0000-0000-000000000001",
        "/p/users/alice/00000000-0000-0000-0000-000000000001",
    ],
    &[
        "/",
        "//",
        "%",
        "%2F",
        "%00",
        "%ff",
        ":",
        "user:",
        "connection:",
        "private",
        "guest",
        "broadcast",
        "+",
        "-",
        "F",
        "é",
        "\u{0}",
        "/p",
        "/p/log/",
        "ffffffffffff",
    ],
);

const NAMES: BrokenText = Broken::text(
    &["alice", "alice/bob", "a%2Fb", "é\u{1F3AE}", "user:alice", "..", "a@b.example"],
    &[
        "/",
        "%",
        "%2F",
        ":",
        "user:",
        "connection:",
        "0",
        "é",
        " ",
        "-",
        "~",
        "00000000-0000-0000-0000-000000000001",
    ],
);

/// Two names that are often nearly the same.
struct Pair;

impl ValueGenerator for Pair {
    type Output = [String; 4];

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Self::Output> {
        let user = NAMES.generate(driver)?;
        let request = NAMES.generate(driver)?;
        let other = match below(driver, 4)? {
            0 => user.clone(),
            1 => format!("{user}/"),
            2 => format!("{user}{request}"),
            _ => NAMES.generate(driver)?,
        };
        Some([user, request, other, NAMES.generate(driver)?])
    }
}

#[test]
fn the_key_of_an_event_says_the_same_when_it_is_written_again() {
    let keys = Keys::new("/p");
    fuzz!(KEYS, |text: &String| {
        keys.is_registration(text.as_bytes());
        if let Some(id) = connection_of(text) {
            assert!(
                text.ends_with(&id.to_string())
                    || !keys.is_registration(text.as_bytes())
                    || Uuid::try_parse(text.rsplit('/').next().unwrap()).is_ok()
            );
        }
        let Some(event) = keys.parse_event(text) else { return false };
        let again = keys.event(&event);
        assert!(again.starts_with(&keys.events_of(event.event_type)));
        assert_eq!(keys.parse_event(&again), Some(event), "{text} {again}");
        true
    });
}

#[test]
fn no_two_users_and_no_two_requests_share_a_key() {
    let keys = Keys::new("/p");
    let id = ConnectionId(Uuid::from_u128(1));
    fuzz!(Pair, |names: &[String; 4]| {
        let [user, request, other_user, other_request] = names.clone();
        let users = [user.clone(), other_user.clone()].map(UserId::parse);
        let requests = [request.clone(), other_request.clone()].map(RequestId::try_from);
        let ([Ok(one), Ok(other)], [Ok(first), Ok(second)]) = (users, requests) else {
            return false;
        };
        let prefix = |user_id: &UserId| keys.user(user_id);
        let same = user == other_user;
        assert_eq!(prefix(&one).starts_with(&prefix(&other)), same, "{one} {other}");
        for key in [prefix(&one), prefix(&other)] {
            let below = key.strip_prefix("/p/users/").unwrap();
            assert_eq!(below.matches('/').count(), 1, "one segment: {key}");
            assert!(below.bytes().all(|byte| byte.is_ascii_graphic()), "{key}");
        }
        let receipts = [
            (keys.receipt(&Scope::User(one.clone()), &first), (Some(&user), &request)),
            (
                keys.receipt(&Scope::User(other.clone()), &second),
                (Some(&other_user), &other_request),
            ),
            (keys.receipt(&Scope::Connection(id), &first), (None, &request)),
            (keys.receipt(&Scope::Connection(id), &second), (None, &other_request)),
        ];
        for (key, what) in &receipts {
            for (other_key, other_what) in &receipts {
                assert_eq!(key == other_key, what == other_what, "{key} {other_key}");
            }
        }
        let connection = Connection {
            id,
            namespace: Namespace::Private,
            user_id: Some(one),
            node_id: NodeId(Uuid::nil()),
            connected_at: Timestamp::from_millis(0),
        };
        for key in keys.registration(&connection) {
            assert!(keys.is_registration(key.as_bytes()), "{key}");
            assert_eq!(connection_of(&key), Some(id), "{key}");
        }
        true
    });
}
