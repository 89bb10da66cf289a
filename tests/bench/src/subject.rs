//! What is measured: the gateway and its baseline, with either allocator.

use std::str::FromStr;

use game_realtime_e2e::mint;

/// A server program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The gateway as it is released.
    Gateway,
    /// The gateway with mimalloc instead of the system's allocator.
    GatewayMimalloc,
    /// Bare socketioxide, see [`crate::bare`].
    Bare,
    /// The same with mimalloc.
    BareMimalloc,
}

/// The event that is broadcast.
pub const EVENT: &str = "core.game.state.broadcast";

/// Characters of the broadcast's message: with them a frame has about 350 bytes.
const MESSAGE: usize = 80;

impl Subject {
    /// Every subject. The first two are the ones compared by the goals.
    pub const ALL: [Self; 4] =
        [Self::Gateway, Self::Bare, Self::GatewayMimalloc, Self::BareMimalloc];

    /// Its program, beside the running one.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Gateway => "game-realtime",
            Self::GatewayMimalloc => "game-realtime-mimalloc",
            Self::Bare => "bare-socketioxide",
            Self::BareMimalloc => "bare-socketioxide-mimalloc",
        }
    }

    /// Whether it is the gateway, with whichever allocator.
    #[must_use]
    pub fn is_gateway(self) -> bool {
        match self {
            Self::Gateway | Self::GatewayMimalloc => true,
            Self::Bare | Self::BareMimalloc => false,
        }
    }

    /// The path of its Engine.IO endpoint.
    #[must_use]
    pub fn path(self) -> &'static str {
        if self.is_gateway() { "/core/game/v1/real-time/private/" } else { "/socket.io/" }
    }

    /// The packet by which client `number` joins.
    #[must_use]
    pub fn join_packet(self, number: u64) -> String {
        if self.is_gateway() {
            format!("40{{\"token\":\"{}\"}}", mint(&format!("player-{number}")))
        } else {
            "40".to_owned()
        }
    }

    /// What the packet begins with that tells a client that it has joined.
    #[must_use]
    pub fn joined_prefix(self) -> &'static str {
        if self.is_gateway() { "42[\"core.game.connection.ready\"" } else { "40" }
    }

    /// The packet that makes the server broadcast. The gateway adds to the message; the baseline
    /// is given the whole and passes it on.
    #[must_use]
    pub fn broadcast_packet(self) -> String {
        let message = "m".repeat(MESSAGE);
        let added = if self.is_gateway() {
            ""
        } else {
            r#","id":"00000000-0000-4000-8000-000000000000","cursor":"00000000000000000000000000000000:10.1","created_at":"2026-11-18T11:06:40.123Z","sender":{"user_id":"player-0","connection_id":"00000000-0000-4000-8000-000000000000"}"#
        };
        format!("42[\"{EVENT}\",{{\"message\":\"{message}\"{added}}}]")
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(program: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|subject| subject.program() == program);
        found.ok_or_else(|| format!("no subject: {program}"))
    }
}
