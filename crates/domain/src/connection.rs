//! One client's connection, as every node can see it in the registry.

use core::fmt;

use uuid::Uuid;

use crate::{Namespace, Timestamp, UserId};

/// The project's own id of a connection; never a transport's session id, which is a secret
/// between the transport and its client.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct ConnectionId(pub Uuid);

impl ConnectionId {
    /// No connection: what operators send comes through none. No connection ever has this id.
    pub const NONE: Self = Self(Uuid::nil());
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The id of one run of one node. A node that starts again is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub Uuid);

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A client's connection. It never changes while it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Who it is, among all connections of all nodes.
    pub id: ConnectionId,
    /// The game namespace it joined.
    pub namespace: Namespace,
    /// The player behind it; `None` exactly for guests.
    pub user_id: Option<UserId>,
    /// The node that holds it.
    pub node_id: NodeId,
    /// When it was accepted.
    pub connected_at: Timestamp,
}
