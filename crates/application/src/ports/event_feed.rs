//! The port to everything that happens: all events, in commit order, from a position.

use async_trait::async_trait;
use game_realtime_domain::{Cursor, Epoch, Position};

use super::StoreError;
use crate::{record::PositionedEvent, timeline::TimelineLimits};

/// Follows the one order of events, for the whole cluster.
#[async_trait]
pub trait EventFeed: Send + Sync {
    /// The newest events, as many as `limits` allow and the store still has: those younger than its
    /// age and at least its number of events, but never more than its bytes.
    ///
    /// The result MUST hold every readable event after its `floor` up to its `head`, in order. The
    /// floor MUST NOT be later than the newest event that is stored and not part of it, so that
    /// nothing is taken for missing because it is old; with the whole log in it, the floor is where
    /// the store has pruned to. MUST read on the order of what it returns, however much is stored,
    /// and hold no more in memory than `limits.bytes` and a bounded stretch of the log.
    ///
    /// A record that cannot be read MUST be counted, logged and passed over; the head moves past it.
    ///
    /// # Errors
    /// MUST return [`StoreError`] if the store cannot answer in time.
    async fn recent(&self, limits: TimelineLimits) -> Result<History, StoreError>;

    /// Where the log ends now: no position after it was ever given out, by whichever node. MUST be
    /// linearizable: it is at or after the cursor of every append that was answered before the call.
    ///
    /// # Errors
    /// MUST return [`StoreError`] if the store cannot answer in time.
    async fn end(&self) -> Result<Cursor, StoreError>;

    /// Every event after `after`, in commit order, without hole or repetition, as it is committed.
    /// A record that cannot be read MUST be counted, logged and passed over; the head moves past it.
    ///
    /// # Errors
    /// - MUST return [`FollowError::Lost`] if the store no longer has all events after `after`,
    ///   or is of another epoch.
    /// - MUST return [`FollowError::Store`] if the store cannot answer in time.
    async fn follow(
        &self,
        epoch: &Epoch,
        after: Position,
    ) -> Result<Box<dyn FeedStream>, FollowError>;
}

/// An open feed.
#[async_trait]
pub trait FeedStream: Send {
    /// Waits for the next events.
    ///
    /// MUST return within a bounded time while the store answers, if need be without events: that
    /// is how a follower knows that silence is not a broken link. Dropping the future before it
    /// is ready MUST NOT lose events.
    ///
    /// # Errors
    /// As [`EventFeed::follow`]. After an error the stream is over: follow again from the head of
    /// the last update.
    async fn next(&mut self) -> Result<FeedUpdate, FollowError>;
}

/// What happened since the last update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedUpdate {
    /// New events, in order; possibly none.
    pub events: Vec<PositionedEvent>,
    /// Everything up to here has been seen. Never before the last event. The feed of every node
    /// MUST come to every head that any node was told.
    pub head: Position,
}

/// A stretch of the order without holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The history that its positions belong to.
    pub epoch: Epoch,
    /// Nothing at or before this position is included.
    pub floor: Position,
    /// All events after `floor` up to `head`.
    pub events: Vec<PositionedEvent>,
    /// How far it goes.
    pub head: Position,
}

/// A feed broke or cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Events after the position are gone for good.
    #[error("events after the position are no longer stored")]
    Lost,
    /// The store failed; the feed can be opened again from the same position.
    #[error(transparent)]
    Store(#[from] StoreError),
}
