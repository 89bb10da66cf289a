//! Whom an event concerns.

use crate::{Connection, ConnectionId, Namespace, UserId};

/// One addressee.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// Every connection of a player.
    User(UserId),
    /// One connection (a guest has nothing else by which it could be addressed).
    Connection(ConnectionId),
}

/// Whom an event concerns. Known without looking into its payload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Route {
    /// Every connection of a namespace.
    Namespace(Namespace),
    /// One addressee.
    One(Recipient),
    /// Two different addressees.
    Two(Recipient, Recipient),
}

impl Route {
    /// A route to two addressees, or to one if they are the same.
    #[must_use]
    pub fn both(first: Recipient, second: Recipient) -> Self {
        if first == second { Self::One(first) } else { Self::Two(first, second) }
    }

    /// Whether `connection` is meant.
    #[must_use]
    pub fn concerns(&self, connection: &Connection) -> bool {
        match self {
            Self::Namespace(namespace) => connection.namespace == *namespace,
            Self::One(recipient) => recipient.is(connection),
            Self::Two(first, second) => first.is(connection) || second.is(connection),
        }
    }
}

impl Recipient {
    /// Whether `connection` is one of this addressee's.
    #[must_use]
    pub fn is(&self, connection: &Connection) -> bool {
        match self {
            Self::User(user_id) => connection.user_id.as_ref() == Some(user_id),
            Self::Connection(id) => connection.id == *id,
        }
    }
}
