//! What happened: an event, its type, and who sent it.

use core::fmt;

use uuid::Uuid;

use crate::{Connection, ConnectionId, Namespace, Recipient, Route, Timestamp, UserId};

/// The id of an event. Unique over all nodes and all time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct EventId(pub Uuid);

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The kinds of events. Their names are the public contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    /// Said to everybody in the sender's namespace.
    Broadcast,
    /// Said to one player.
    SendMessage,
    /// A player bought something.
    BuyGood,
}

impl EventType {
    /// Every event type, in a fixed order.
    pub const ALL: [Self; 3] = [Self::Broadcast, Self::SendMessage, Self::BuyGood];

    /// The name clients, logs, metrics and configuration use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broadcast => "core.game.state.broadcast",
            Self::SendMessage => "core.game.state.send_message",
            Self::BuyGood => "core.game.state.buy_good",
        }
    }
}

/// What events have in common that are kept equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RetentionClass {
    /// What players say and do to each other.
    State,
    /// What changes what a player owns. Kept longest, and the last to go when space runs out.
    Purchases,
}

impl RetentionClass {
    /// Every class, in the order in which they go when space runs out.
    pub const ALL: [Self; 2] = [Self::State, Self::Purchases];
}

/// One of something for each retention class.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct PerClass<T> {
    /// That of [`RetentionClass::State`].
    pub state: T,
    /// That of [`RetentionClass::Purchases`].
    pub purchases: T,
}

impl<T> PerClass<T> {
    /// That of a class.
    #[must_use]
    pub const fn of(&self, class: RetentionClass) -> &T {
        match class {
            RetentionClass::State => &self.state,
            RetentionClass::Purchases => &self.purchases,
        }
    }

    /// That of a class, to be changed.
    #[must_use]
    pub const fn of_mut(&mut self, class: RetentionClass) -> &mut T {
        match class {
            RetentionClass::State => &mut self.state,
            RetentionClass::Purchases => &mut self.purchases,
        }
    }
}

impl EventType {
    /// How long events of this type are kept.
    #[must_use]
    pub const fn retention_class(self) -> RetentionClass {
        match self {
            Self::Broadcast | Self::SendMessage => RetentionClass::State,
            Self::BuyGood => RetentionClass::Purchases,
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The name is not that of an event type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown event type")]
pub struct UnknownEventType;

impl core::str::FromStr for EventType {
    type Err = UnknownEventType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or(UnknownEventType)
    }
}

/// Who sent an event.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sender {
    /// The player; `None` for a guest and for the system.
    pub user_id: Option<UserId>,
    /// The connection it came through; [`ConnectionId::NONE`] for what an operator sent.
    pub connection_id: ConnectionId,
}

impl Sender {
    /// The system itself: no player, over no connection.
    pub const SYSTEM: Self = Self { user_id: None, connection_id: ConnectionId::NONE };

    /// A player for whom an operator speaks.
    #[must_use]
    pub const fn on_behalf_of(user_id: UserId) -> Self {
        Self { user_id: Some(user_id), connection_id: ConnectionId::NONE }
    }

    /// Whom the sender's own copy of an event is addressed to; `None` for the system, which gets
    /// none.
    #[must_use]
    pub fn recipient(&self) -> Option<Recipient> {
        match (&self.user_id, self.connection_id) {
            (Some(user_id), _) => Some(Recipient::User(user_id.clone())),
            (None, ConnectionId::NONE) => None,
            (None, id) => Some(Recipient::Connection(id)),
        }
    }

    /// The sender that a connection is.
    #[must_use]
    pub fn of(connection: &Connection) -> Self {
        Self { user_id: connection.user_id.clone(), connection_id: connection.id }
    }
}

/// What an event carries, and what follows from it.
pub trait Payload: serde::Serialize {
    /// The type of the events that carry this payload.
    const TYPE: EventType;

    /// Whom an event with this payload concerns, sent by `sender` in `namespace`.
    fn route(&self, namespace: Namespace, sender: &Sender) -> Route;

    /// The player whose number of open connections the sender is told, if any.
    fn presence_of(&self) -> Option<&UserId> {
        None
    }
}

/// Something that happened, before a store gave it its place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<P> {
    /// Its id.
    pub id: EventId,
    /// The namespace it was sent in.
    pub namespace: Namespace,
    /// Who sent it.
    pub sender: Sender,
    /// When the node took it from the sender.
    pub created_at: Timestamp,
    /// What it says.
    pub payload: P,
}
