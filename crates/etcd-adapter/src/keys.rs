//! Every key this gateway has in etcd. The only place that builds or reads one.
//!
//! ```text
//! {prefix}/epoch                                               the name of this history
//! {prefix}/pruned                                              everything up to here may be gone
//! {prefix}/events/{type}/{age}{node}{index}/{namespace}/{route}  the event log
//! {prefix}/receipts/{scope}/{request id}                       what makes a repeat recognisable
//! {prefix}/connections/{namespace}/{connection}                the registry...
//! {prefix}/users/{user}/{connection}                           ...and what it holds of players, by player
//! {prefix}/kicks/{target}                                      orders that connections be ended
//! ```
//!
//! `age` is a time stamp counted down, so that a range in key order gives the newest events first
//! and reads no more than it returns. `node` keeps two nodes apart that write in the same
//! millisecond, `index` is the event's place in its transaction, counted down as well. `route` says
//! whom the event concerns, so that nobody has to decode the value to know that it is for nobody here.

use game_realtime_application::Scope;
use game_realtime_domain::{
    Connection, ConnectionId, EventType, Namespace, NodeId, Recipient, RequestId, Route, UserId,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use uuid::Uuid;

/// What stays as it is within a segment of a key.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'@');

/// The largest time stamp, in milliseconds: 48 bits last until the year 10889.
const LAST_STAMP: u64 = (1 << 48) - 1;

/// Builds keys below a prefix.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

/// What the key of an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventKey {
    pub(crate) event_type: EventType,
    /// Milliseconds since the epoch, by the logical clock of the writers.
    pub(crate) stamp: u64,
    /// The first 32 bits of the writer's id.
    pub(crate) node: u32,
    /// The event's place in its transaction, from 1.
    pub(crate) index: u16,
    pub(crate) namespace: Namespace,
    pub(crate) route: Route,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.trim_end_matches('/').to_owned() }
    }

    pub(crate) fn epoch(&self) -> String {
        format!("{}/epoch", self.prefix)
    }

    pub(crate) fn pruned(&self) -> String {
        format!("{}/pruned", self.prefix)
    }

    /// What every event's key begins with.
    pub(crate) fn events(&self) -> String {
        format!("{}/events/", self.prefix)
    }

    /// What the keys of a type's events begin with.
    pub(crate) fn events_of(&self, event_type: EventType) -> String {
        format!("{}{}/", self.events(), type_segment(event_type))
    }

    /// What a type's events stamped at `stamp` or before come after, and all later ones before.
    pub(crate) fn events_until(&self, event_type: EventType, stamp: u64) -> Vec<u8> {
        let age = LAST_STAMP.saturating_sub(stamp);
        format!("{}{age:012x}", self.events_of(event_type)).into_bytes()
    }

    /// What all of a type's events come before: "0" is the character after the slash.
    pub(crate) fn events_end(&self, event_type: EventType) -> Vec<u8> {
        format!("{}{}0", self.events(), type_segment(event_type)).into_bytes()
    }

    pub(crate) fn event(&self, key: &EventKey) -> String {
        format!(
            "{}{:012x}{:08x}{:04x}/{}/{}",
            self.events_of(key.event_type),
            LAST_STAMP.saturating_sub(key.stamp),
            key.node,
            u16::MAX - key.index,
            key.namespace,
            route_segments(&key.route)
        )
    }

    /// Reads the key of an event; `None` if it is not one.
    pub(crate) fn parse_event(&self, key: &str) -> Option<EventKey> {
        let mut segments = key.strip_prefix(&self.events())?.split('/');
        let kind = segments.next()?;
        let event_type = EventType::ALL.into_iter().find(|known| type_segment(*known) == kind)?;
        let place = segments.next()?;
        let namespace: Namespace = segments.next()?.parse().ok()?;
        let first = segments.next()?;
        let second = segments.next();
        let route = if first == EVERYBODY {
            Route::Namespace(namespace)
        } else {
            match (recipient(first)?, second) {
                (only, None) => Route::One(only),
                (first, Some(second)) => Route::Two(first, recipient(second)?),
            }
        };
        Some(EventKey {
            event_type,
            stamp: LAST_STAMP - u64::from_str_radix(place.get(..12)?, 16).ok()?,
            node: u32::from_str_radix(place.get(12..20)?, 16).ok()?,
            index: u16::MAX - u16::from_str_radix(place.get(20..)?, 16).ok()?,
            namespace,
            route,
        })
    }

    pub(crate) fn receipt(&self, scope: &Scope, request_id: &RequestId) -> String {
        let scope = match scope {
            Scope::User(user_id) => user_segment(user_id),
            Scope::Connection(id) => connection_segment(*id),
            Scope::System => SYSTEM.to_owned(),
        };
        format!("{}/receipts/{scope}/{}", self.prefix, escape(request_id.as_str()))
    }

    /// What the keys of kick orders begin with.
    pub(crate) fn kicks(&self) -> String {
        format!("{}/kicks/", self.prefix)
    }

    /// The order that the connections of a target be ended.
    pub(crate) fn kick(&self, target: &Recipient) -> String {
        format!("{}{}", self.kicks(), recipient_segment(target))
    }

    /// Reads the key of a kick order; `None` if it is not one.
    pub(crate) fn parse_kick(&self, key: &str) -> Option<Recipient> {
        recipient(key.strip_prefix(&self.kicks())?)
    }

    /// Where a connection's record is, and, of a player's, the copy that is found by the player.
    pub(crate) fn registration(&self, connection: &Connection) -> impl Iterator<Item = String> {
        let id = connection.id;
        let copy = connection.user_id.as_ref().map(|user_id| format!("{}{id}", self.user(user_id)));
        std::iter::once(self.connection(connection.namespace, id)).chain(copy)
    }

    /// Where a connection's record is if it is in a namespace.
    pub(crate) fn connection(&self, namespace: Namespace, id: ConnectionId) -> String {
        format!("{}{id}", self.namespace(namespace))
    }

    /// Whether a key is one of those that [`registration`](Self::registration) makes.
    pub(crate) fn is_registration(&self, key: &[u8]) -> bool {
        let below = key.strip_prefix(self.prefix.as_bytes()).unwrap_or_default();
        ["/connections/", "/users/"].iter().any(|directory| below.starts_with(directory.as_bytes()))
    }

    /// What the keys of a namespace's connections begin with.
    pub(crate) fn namespace(&self, namespace: Namespace) -> String {
        format!("{}/connections/{namespace}/", self.prefix)
    }

    /// What the keys of a user's connections begin with.
    pub(crate) fn user(&self, user_id: &UserId) -> String {
        format!("{}/users/{}/", self.prefix, escape(user_id.as_str()))
    }
}

/// Where the connections below a prefix begin whose ids were made at a millisecond or later.
pub(crate) fn connections_from(prefix: &str, milliseconds: u64) -> String {
    format!("{prefix}{:08x}-{:04x}", milliseconds >> 16, milliseconds & 0xffff)
}

/// What all connections below a prefix come before: "0" is the character after the slash.
pub(crate) fn connections_end(prefix: &str) -> String {
    format!("{}0", prefix.trim_end_matches('/'))
}

/// The id that the key of a connection ends with.
pub(crate) fn connection_of(key: &str) -> Option<ConnectionId> {
    key.rsplit('/').next()?.parse().ok().map(ConnectionId)
}

/// The part of a node's id that its events' keys carry.
pub(crate) fn node_part(node_id: NodeId) -> u32 {
    // The end, which is random in every version of UUIDs that is used.
    let [.., a, b, c, d] = *node_id.0.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

const EVERYBODY: &str = "everybody";
const SYSTEM: &str = "system";

fn type_segment(event_type: EventType) -> &'static str {
    match event_type {
        EventType::Broadcast => "broadcast",
        EventType::SendMessage => "send_message",
        EventType::BuyGood => "buy_good",
    }
}

fn route_segments(route: &Route) -> String {
    match route {
        Route::Namespace(_) => EVERYBODY.to_owned(),
        Route::One(only) => recipient_segment(only),
        Route::Two(first, second) => {
            format!("{}/{}", recipient_segment(first), recipient_segment(second))
        }
    }
}

fn recipient_segment(recipient: &Recipient) -> String {
    match recipient {
        Recipient::User(user_id) => user_segment(user_id),
        Recipient::Connection(id) => connection_segment(*id),
    }
}

fn user_segment(user_id: &UserId) -> String {
    format!("user:{}", escape(user_id.as_str()))
}

fn connection_segment(id: ConnectionId) -> String {
    format!("connection:{id}")
}

fn recipient(segment: &str) -> Option<Recipient> {
    match segment.split_once(':')? {
        ("user", user_id) => {
            let user_id = percent_decode_str(user_id).decode_utf8().ok()?;
            UserId::parse(user_id).ok().map(Recipient::User)
        }
        ("connection", id) => {
            id.parse::<Uuid>().ok().map(|id| Recipient::Connection(ConnectionId(id)))
        }
        _ => None,
    }
}

fn escape(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, SEGMENT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(stamp: u64, route: Route) -> EventKey {
        EventKey {
            event_type: EventType::SendMessage,
            stamp,
            node: 7,
            index: 1,
            namespace: Namespace::Private,
            route,
        }
    }

    proptest! {
        #[test]
        fn an_event_key_survives_its_text(
            stamp in 0..=LAST_STAMP, node: u32, index: u16, user in "[^\\p{Cc}]{1,40}", id: u128,
        ) {
            let keys = Keys::new("/core/game/v1");
            let route = Route::Two(
                Recipient::User(UserId::parse(user)?),
                Recipient::Connection(ConnectionId(Uuid::from_u128(id))),
            );
            let key = EventKey { node, index, ..key(stamp, route) };
            prop_assert_eq!(keys.parse_event(&keys.event(&key)), Some(key));
        }

        #[test]
        fn newer_events_come_first_in_key_order(a in 0..LAST_STAMP, b in 0..LAST_STAMP) {
            let keys = Keys::new("/p");
            let route = Route::Namespace(Namespace::Private);
            let (first, second) =
                (keys.event(&key(a, route.clone())), keys.event(&key(b, route)));
            prop_assert_eq!(first.cmp(&second), b.cmp(&a));
        }
    }

    #[test]
    fn the_keys_of_the_store() {
        let keys = Keys::new("/core/game/v1");
        let alice = UserId::parse("alice/ä %").unwrap();
        let id = ConnectionId(Uuid::from_u128(1));
        let request_id: RequestId = String::from("r/1").try_into().unwrap();
        let message = key(
            1_795_000_000_123,
            Route::Two(Recipient::User(alice.clone()), Recipient::Connection(id)),
        );
        let broadcast = EventKey {
            event_type: EventType::Broadcast,
            ..key(0, Route::Namespace(Namespace::Private))
        };
        insta::assert_snapshot!(
            [
                keys.epoch(),
                keys.pruned(),
                keys.event(&message),
                keys.event(&broadcast),
                keys.receipt(&Scope::User(alice.clone()), &request_id),
                keys.receipt(&Scope::Connection(id), &request_id),
                keys.receipt(&Scope::System, &request_id),
                keys.connection(Namespace::Guest, id),
                keys.user(&alice),
                keys.kick(&Recipient::User(alice.clone())),
                keys.kick(&Recipient::Connection(id)),
            ]
            .join("\n"),
            @r"
        /core/game/v1/epoch
        /core/game/v1/pruned
        /core/game/v1/events/send_message/fe5e11a9a18400000007fffe/private/user:alice%2F%C3%A4%20%25/connection:00000000-0000-0000-0000-000000000001
        /core/game/v1/events/broadcast/ffffffffffff00000007fffe/private/everybody
        /core/game/v1/receipts/user:alice%2F%C3%A4%20%25/r%2F1
        /core/game/v1/receipts/connection:00000000-0000-0000-0000-000000000001/r%2F1
        /core/game/v1/receipts/system/r%2F1
        /core/game/v1/connections/guest/00000000-0000-0000-0000-000000000001
        /core/game/v1/users/alice%2F%C3%A4%20%25/
        /core/game/v1/kicks/user:alice%2F%C3%A4%20%25
        /core/game/v1/kicks/connection:00000000-0000-0000-0000-000000000001
        "
        );
    }

    proptest! {
        #[test]
        fn connections_are_divided_by_the_time_of_their_ids(id: u128, milliseconds in 0..1_u64 << 48) {
            let keys = Keys::new("/p");
            let prefix = keys.namespace(Namespace::Guest);
            let entry = format!("{prefix}{}", ConnectionId(Uuid::from_u128(id)));
            let made_at = u64::try_from(id >> 80)?;
            let is_behind = entry >= connections_from(&prefix, milliseconds);
            prop_assert_eq!(is_behind, made_at >= milliseconds);
            prop_assert!(entry < connections_end(&prefix));
        }
    }

    #[test]
    fn a_kick_order_survives_its_key() {
        let keys = Keys::new("/p");
        for target in [
            Recipient::User(UserId::parse("alice/ä %").unwrap()),
            Recipient::Connection(ConnectionId(Uuid::from_u128(1))),
        ] {
            assert_eq!(keys.parse_kick(&keys.kick(&target)), Some(target));
        }
    }

    #[test]
    fn users_with_similar_names_have_keys_apart() {
        let keys = Keys::new("/p");
        let user = |name: &str| keys.user(&UserId::parse(name).unwrap());
        assert!(!user("a/b").starts_with(&user("a")));
        assert_ne!(user("a/b"), user("a%2Fb"));
    }
}
