//! Connections for tests.

use game_realtime_application::ports::Clock;
use game_realtime_domain::{Connection, ConnectionId, Namespace, NodeId, Timestamp, UserId};

use crate::{WallClock, unique_id, user_id};

/// Builds a connection with an id of its own, on a node of its own, connected now.
#[derive(Debug, Clone)]
pub struct ConnectionBuilder(Connection);

impl ConnectionBuilder {
    /// A connection of a player.
    ///
    /// # Panics
    /// When `user` is not a user id.
    #[must_use]
    pub fn player(user: &str) -> Self {
        Self::new(Namespace::Private, Some(user_id(user)))
    }

    /// A connection of a guest.
    #[must_use]
    pub fn guest() -> Self {
        Self::new(Namespace::Guest, None)
    }

    /// On this node.
    #[must_use]
    pub fn node(mut self, node_id: NodeId) -> Self {
        self.0.node_id = node_id;
        self
    }

    /// Connected then.
    #[must_use]
    pub fn connected_at(mut self, connected_at: Timestamp) -> Self {
        self.0.connected_at = connected_at;
        self
    }

    /// The connection.
    #[must_use]
    pub fn build(self) -> Connection {
        self.0
    }

    fn new(namespace: Namespace, user_id: Option<UserId>) -> Self {
        Self(Connection {
            id: ConnectionId(unique_id()),
            namespace,
            user_id,
            node_id: NodeId(unique_id()),
            connected_at: WallClock.now(),
        })
    }
}
