//! What is measured: the gateway and its baseline, with either allocator.

use game_realtime_e2e::SECRET;

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

    /// How the load generator speaks to it. The gateway adds to a message; the baseline is sent a
    /// longer one, so that what it delivers is as long.
    #[must_use]
    pub fn load_arguments(self) -> &'static [&'static str] {
        if self.is_gateway() {
            &["--secret", SECRET, "--message-length", "80"]
        } else {
            &["--form", "plain", "--message-length", "300"]
        }
    }
}
