//! Every key this gateway has in etcd. The only place that builds or reads one.
//!
//! ```text
//! {prefix}/store                                           epoch and format
//! {prefix}/log/segments/{class}/{number}                   where segments of the log begin
//! {prefix}/log/{type}/{order}{place}/{namespace}/{recipients}/{id}   the events
//! {prefix}/receipts/{scope}/{request id}                   what makes a repeat recognisable
//! {prefix}/receipt-leases/{class}/{revision}-{lease}       the leases of receipts, oldest first
//! {prefix}/connections/{namespace}/{connection}            the registry...
//! {prefix}/users/{user}/{connection}                       ...and its copy of players, by player
//! {prefix}/kicks/{target}                                  orders to end connections
//! {prefix}/housekeeper                                     the node that prunes and compacts
//! ```
//!
//! `order` is the latest revision that the writer knew, counted down: a range in key order returns
//! the newest events first and reads no more than it returns. `place` is the event's index in its
//! transaction, counted down as well. The recipients say whom the event concerns, so that the value
//! is decoded only for connections that get it; an event for a whole namespace has none. A later
//! format MUST keep `{order}{place}` where it is: an older release finds the position of an event that
//! it cannot read there.

use game_realtime_application::Scope;
use game_realtime_domain::{
    Connection, ConnectionId, EventId, EventType, Namespace, Recipient, RequestId, RetentionClass,
    Route, UserId,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use uuid::Uuid;

/// What stays as it is within a segment of a key.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'@');

/// Revisions have 48 bits in keys: at a million a second they last for nine years.
const LAST_REVISION: u64 = (1 << 48) - 1;
/// Places have 12 bits in keys.
const LAST_PLACE: u16 = (1 << 12) - 1;

/// Builds keys below a prefix.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

/// What the key of an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventKey {
    pub(crate) event_type: EventType,
    /// The latest revision that the writer knew: before the event's own, in the same segment of the
    /// log or the one before.
    pub(crate) known: u64,
    /// The event's index in its transaction, from 1.
    pub(crate) place: u16,
    pub(crate) namespace: Namespace,
    pub(crate) route: Route,
    pub(crate) id: EventId,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.trim_end_matches('/').to_owned() }
    }

    /// What the store says about itself.
    pub(crate) fn store(&self) -> String {
        format!("{}/store", self.prefix)
    }

    /// Where releases before format 2 kept their events: the first key, and what comes after the last.
    pub(crate) fn format_1(&self) -> (Vec<u8>, Vec<u8>) {
        (
            format!("{}/events/", self.prefix).into_bytes(),
            format!("{}/events0", self.prefix).into_bytes(),
        )
    }

    /// The node that prunes and compacts.
    pub(crate) fn housekeeper(&self) -> String {
        format!("{}/housekeeper", self.prefix)
    }

    /// What the keys of all events and segments begin with.
    pub(crate) fn log(&self) -> String {
        format!("{}/log/", self.prefix)
    }

    /// What the keys of a class's segments begin with.
    pub(crate) fn segments(&self, class: RetentionClass) -> String {
        format!("{}{}/", self.all_segments(), class_segment(class))
    }

    /// What the keys of all segments begin with.
    pub(crate) fn all_segments(&self) -> String {
        format!("{}segments/", self.log())
    }

    /// Where a segment begins.
    pub(crate) fn segment(&self, class: RetentionClass, number: u64) -> String {
        format!("{}{number:012}", self.segments(class))
    }

    /// Reads the class and the number of a segment; `None` if the key is not one of a segment.
    pub(crate) fn parse_segment(&self, key: &str) -> Option<(RetentionClass, u64)> {
        let (class, number) = key.strip_prefix(&self.all_segments())?.split_once('/')?;
        let class = RetentionClass::ALL.into_iter().find(|known| class_segment(*known) == class)?;
        Some((class, number.parse().ok()?))
    }

    /// What the keys of a type's events begin with.
    pub(crate) fn events_of(&self, event_type: EventType) -> String {
        format!("{}{}/", self.log(), type_segment(event_type))
    }

    /// Of a type's events, those written by who knew `revision` or later come before this, all others
    /// after it.
    pub(crate) fn events_before(&self, event_type: EventType, revision: u64) -> Vec<u8> {
        match revision.checked_sub(1) {
            Some(before) => {
                let order = LAST_REVISION.saturating_sub(before);
                format!("{}{order:012x}", self.events_of(event_type)).into_bytes()
            }
            // "0" is the character after the slash.
            None => format!("{}{}0", self.log(), type_segment(event_type)).into_bytes(),
        }
    }

    pub(crate) fn event(&self, key: &EventKey) -> String {
        format!(
            "{}{:012x}{:03x}/{}/{}{}",
            self.events_of(key.event_type),
            LAST_REVISION.saturating_sub(key.known),
            LAST_PLACE.saturating_sub(key.place),
            key.namespace,
            recipient_segments(&key.route),
            key.id.0.as_simple(),
        )
    }

    /// Reads the key of an event; `None` if it is not one.
    pub(crate) fn parse_event(&self, key: &str) -> Option<EventKey> {
        let mut segments = key.strip_prefix(&self.log())?.split('/');
        let kind = segments.next()?;
        let event_type = EventType::ALL.into_iter().find(|known| type_segment(*known) == kind)?;
        let (known, place) = parse_order(segments.next()?)?;
        let namespace: Namespace = segments.next()?.parse().ok()?;
        let id = EventId(segments.next_back()?.parse().ok()?);
        let route = match (segments.next(), segments.next(), segments.next()) {
            (None, ..) => Route::Namespace(namespace),
            (Some(only), None, _) => Route::One(recipient(only)?),
            (Some(first), Some(second), None) => Route::Two(recipient(first)?, recipient(second)?),
            (Some(_), Some(_), Some(_)) => return None,
        };
        Some(EventKey { event_type, known, place, namespace, route, id })
    }

    /// The place that the key of an event names, whatever else it says.
    pub(crate) fn parse_place(&self, key: &str) -> Option<u16> {
        parse_order(key.strip_prefix(&self.log())?.split('/').nth(1)?).map(|(_, place)| place)
    }

    /// The leases of a class's receipts.
    pub(crate) fn receipt_leases(&self, class: RetentionClass) -> String {
        format!("{}/receipt-leases/{}/", self.prefix, class_segment(class))
    }

    /// A lease of receipts, among those of its class by the revision that its node knew.
    pub(crate) fn receipt_lease(&self, class: RetentionClass, known: u64, lease: i64) -> String {
        format!("{}{known:012x}-{lease:x}", self.receipt_leases(class))
    }

    /// Reads the lease that such a key names.
    pub(crate) fn parse_receipt_lease(key: &str) -> Option<i64> {
        i64::from_str_radix(key.rsplit_once('-')?.1, 16).ok()
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

const SYSTEM: &str = "system";

fn type_segment(event_type: EventType) -> &'static str {
    match event_type {
        EventType::Broadcast => "broadcast",
        EventType::SendMessage => "send_message",
        EventType::BuyGood => "buy_good",
    }
}

fn class_segment(class: RetentionClass) -> &'static str {
    match class {
        RetentionClass::State => "state",
        RetentionClass::Purchases => "purchases",
    }
}

/// What an event was written after, and its place in its transaction.
fn parse_order(segment: &str) -> Option<(u64, u16)> {
    let known = LAST_REVISION.checked_sub(u64::from_str_radix(segment.get(..12)?, 16).ok()?)?;
    let place = LAST_PLACE.checked_sub(u16::from_str_radix(segment.get(12..15)?, 16).ok()?)?;
    Some((known, place))
}

/// The recipients, each with a slash behind it.
fn recipient_segments(route: &Route) -> String {
    match route {
        Route::Namespace(_) => String::new(),
        Route::One(only) => format!("{}/", recipient_segment(only)),
        Route::Two(first, second) => {
            format!("{}/{}/", recipient_segment(first), recipient_segment(second))
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

    fn key(known: u64, route: Route) -> EventKey {
        EventKey {
            event_type: EventType::SendMessage,
            known,
            place: 1,
            namespace: Namespace::Private,
            route,
            id: EventId(Uuid::from_u128(7)),
        }
    }

    proptest! {
        #[test]
        fn an_event_key_survives_its_text(
            known in 0..=LAST_REVISION, place in 0..=LAST_PLACE, user in "[^\\p{Cc}]{1,40}", id: u128,
            recipients in 0..3,
        ) {
            let keys = Keys::new("/core/game/v1");
            let user = Recipient::User(UserId::parse(user)?);
            let connection = Recipient::Connection(ConnectionId(Uuid::from_u128(id)));
            let route = match recipients {
                0 => Route::Namespace(Namespace::Private),
                1 => Route::One(connection),
                _ => Route::Two(user, connection),
            };
            let key = EventKey { place, ..key(known, route) };
            let text = keys.event(&key);
            prop_assert_eq!(keys.parse_place(&text), Some(place));
            prop_assert_eq!(keys.parse_event(&text), Some(key));
        }

        #[test]
        fn newer_events_come_first_in_key_order(a in 0..LAST_REVISION, b in 0..LAST_REVISION) {
            let keys = Keys::new("/p");
            let route = Route::Namespace(Namespace::Private);
            let (first, second) =
                (keys.event(&key(a, route.clone())), keys.event(&key(b, route)));
            prop_assert_eq!(first.cmp(&second), b.cmp(&a));
        }

        #[test]
        fn events_are_divided_by_what_their_writers_knew(known in 0..LAST_REVISION, revision: u64) {
            let keys = Keys::new("/p");
            let revision = revision % LAST_REVISION;
            let event = keys.event(&key(known, Route::Namespace(Namespace::Guest)));
            let boundary = keys.events_before(EventType::SendMessage, revision);
            prop_assert_eq!(event.into_bytes() < boundary, known >= revision);
        }
    }

    #[test]
    fn the_keys_of_the_store() {
        let keys = Keys::new("/core/game/v1");
        let alice = UserId::parse("alice/ä %").unwrap();
        let id = ConnectionId(Uuid::from_u128(1));
        let request_id: RequestId = String::from("r/1").try_into().unwrap();
        let message =
            key(1_795_000, Route::Two(Recipient::User(alice.clone()), Recipient::Connection(id)));
        let broadcast = EventKey {
            event_type: EventType::Broadcast,
            ..key(0, Route::Namespace(Namespace::Private))
        };
        insta::assert_snapshot!(
            [
                keys.store(),
                keys.segment(RetentionClass::State, 17),
                keys.event(&message),
                keys.event(&broadcast),
                keys.segment(RetentionClass::Purchases, 17),
                keys.receipt(&Scope::User(alice.clone()), &request_id),
                keys.receipt(&Scope::Connection(id), &request_id),
                keys.receipt(&Scope::System, &request_id),
                keys.receipt_lease(RetentionClass::State, 1_795_000, 0x7587_6a0c),
                keys.connection(Namespace::Guest, id),
                keys.user(&alice),
                keys.kick(&Recipient::User(alice.clone())),
                keys.kick(&Recipient::Connection(id)),
                keys.housekeeper(),
            ]
            .join("\n"),
            @r"
        /core/game/v1/store
        /core/game/v1/log/segments/state/000000000017
        /core/game/v1/log/send_message/ffffffe49c47ffe/private/user:alice%2F%C3%A4%20%25/connection:00000000-0000-0000-0000-000000000001/00000000000000000000000000000007
        /core/game/v1/log/broadcast/ffffffffffffffe/private/00000000000000000000000000000007
        /core/game/v1/log/segments/purchases/000000000017
        /core/game/v1/receipts/user:alice%2F%C3%A4%20%25/r%2F1
        /core/game/v1/receipts/connection:00000000-0000-0000-0000-000000000001/r%2F1
        /core/game/v1/receipts/system/r%2F1
        /core/game/v1/receipt-leases/state/0000001b63b8-75876a0c
        /core/game/v1/connections/guest/00000000-0000-0000-0000-000000000001
        /core/game/v1/users/alice%2F%C3%A4%20%25/
        /core/game/v1/kicks/user:alice%2F%C3%A4%20%25
        /core/game/v1/kicks/connection:00000000-0000-0000-0000-000000000001
        /core/game/v1/housekeeper
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
