//! Which limit was in the way, for metrics. Clients learn only the code.

/// A limit that something was refused by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Too many events on one connection.
    ConnectionRate,
    /// Too many events of one kind by one user, or by one guest connection.
    UserRate,
    /// Too many events of one connection wait for their commit.
    Inbox,
    /// Too many bytes of all connections of this node wait for their commit.
    InFlight,
    /// Too many handshakes from one address.
    HandshakeRate,
    /// Too many connections of one user.
    UserConnections,
    /// Too many connections from one address.
    AddressConnections,
    /// Too many connections on this node.
    NodeConnections,
    /// Too many TCP connections to this node.
    TcpConnections,
}

impl Refusal {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::ConnectionRate,
        Self::UserRate,
        Self::Inbox,
        Self::InFlight,
        Self::HandshakeRate,
        Self::UserConnections,
        Self::AddressConnections,
        Self::NodeConnections,
        Self::TcpConnections,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionRate => "connection_rate",
            Self::UserRate => "user_rate",
            Self::Inbox => "inbox",
            Self::InFlight => "in_flight",
            Self::HandshakeRate => "handshake_rate",
            Self::UserConnections => "user_connections",
            Self::AddressConnections => "ip_connections",
            Self::NodeConnections => "node_connections",
            Self::TcpConnections => "tcp_connections",
        }
    }

    /// Counts it in `game_realtime_refusals_total`.
    pub fn count(self) {
        metrics::counter!("game_realtime_refusals_total", "reason" => self.as_str()).increment(1);
    }
}
