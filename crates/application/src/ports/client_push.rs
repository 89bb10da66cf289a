//! The port to one client: how delivery hands it events.

use async_trait::async_trait;

use crate::delivery::OutgoingEvent;

/// The outgoing side of one connection. What is pushed arrives in the order pushed, or the
/// connection ends.
#[async_trait]
pub trait ClientPush: Send + Sync {
    /// Takes an event for the client and sees to it that it is written. MUST NOT block or wait.
    fn push(&self, event: &OutgoingEvent) -> PushOutcome;

    /// As [`push`](Self::push), but what it takes may wait to be written until the next
    /// [`flush`](Self::flush), so that several events make one write.
    fn queue(&self, event: &OutgoingEvent) -> PushOutcome {
        self.push(event)
    }

    /// Sees to it that what was queued is written. MUST NOT block or wait.
    fn flush(&self) {}

    /// Waits until a push is likely to be taken again.
    ///
    /// # Errors
    /// MUST return [`ConnectionGone`] once nothing can be pushed any more, and after a bounded
    /// time without progress.
    async fn writable(&self) -> Result<(), ConnectionGone>;

    /// Ends the connection. MUST NOT block; further pushes are [`PushOutcome::Gone`]. If the reason
    /// [is final](CloseReason::is_final), the client is told so; who cannot be told is cut off.
    fn close(&self, reason: CloseReason);
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushOutcome {
    /// The event will be written.
    Taken,
    /// No room now: nothing was taken, the event can be pushed again later.
    Full,
    /// The connection has ended.
    Gone,
}

/// The connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("connection is gone")]
pub struct ConnectionGone;

/// Why the gateway ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The node is going down. The client should return, elsewhere.
    Drain,
    /// The client does not read fast enough. It may return with its cursor.
    SlowConsumer,
    /// Events this client has not seen are lost. It will return and learn of the gap.
    HistoryLost,
    /// The node is cut off from the store. The client should return, elsewhere.
    Isolated,
    /// The node is behind what the client has seen. The client should return, elsewhere.
    Behind,
    /// The node could not register it. It should return.
    Unregistered,
    /// Its identity no longer holds. It may return with another one.
    TokenExpired,
    /// It went on sending over its limits. It should stay away.
    Abuse,
    /// A bug of ours. It may return with its cursor.
    Internal,
    /// An operator ended it. It should stay away.
    Kicked,
}

impl CloseReason {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::SlowConsumer => "slow_consumer",
            Self::HistoryLost => "history_lost",
            Self::Isolated => "isolated",
            Self::Behind => "behind",
            Self::Unregistered => "unregistered",
            Self::TokenExpired => "token_expired",
            Self::Abuse => "abuse",
            Self::Internal => "internal",
            Self::Kicked => "kicked",
        }
    }

    /// Whether the client must not come back by itself; else its transport is closed, and it does.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::TokenExpired | Self::Abuse | Self::Kicked => true,
            Self::Drain
            | Self::SlowConsumer
            | Self::HistoryLost
            | Self::Isolated
            | Self::Behind
            | Self::Unregistered
            | Self::Internal => false,
        }
    }

    /// Whether it is about this connection alone: others over the same transport stay.
    #[must_use]
    pub const fn spares_others(self) -> bool {
        match self {
            Self::TokenExpired | Self::Kicked => true,
            Self::Abuse
            | Self::Drain
            | Self::SlowConsumer
            | Self::HistoryLost
            | Self::Isolated
            | Self::Behind
            | Self::Unregistered
            | Self::Internal => false,
        }
    }
}
