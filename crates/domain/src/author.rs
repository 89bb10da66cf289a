//! Who an event is from: a client, or somebody trusted who is not connected.

use crate::{Connection, Namespace, Sender, UserId};

/// Whoever sends an event.
#[derive(Debug, Clone, Copy)]
pub enum Author<'a> {
    /// A client, over its connection.
    Connection(&'a Connection),
    /// A player, connected or not, for whom an operator speaks.
    User(&'a UserId),
    /// The system itself, to a namespace.
    System(Namespace),
}

impl Author<'_> {
    /// The namespace that the event is sent in.
    #[must_use]
    pub const fn namespace(&self) -> Namespace {
        match self {
            Self::Connection(connection) => connection.namespace,
            Self::User(_) => Namespace::Private,
            Self::System(namespace) => *namespace,
        }
    }

    /// The player; `None` for a guest and for the system.
    #[must_use]
    pub const fn user_id(&self) -> Option<&UserId> {
        match self {
            Self::Connection(connection) => connection.user_id.as_ref(),
            Self::User(user_id) => Some(user_id),
            Self::System(_) => None,
        }
    }

    /// What recipients learn of it.
    #[must_use]
    pub fn sender(&self) -> Sender {
        match self {
            Self::Connection(connection) => Sender::of(connection),
            Self::User(user_id) => Sender::on_behalf_of((*user_id).clone()),
            Self::System(_) => Sender::SYSTEM,
        }
    }
}
