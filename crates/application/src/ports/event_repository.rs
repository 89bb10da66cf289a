//! The port to the event log: append and list.

use async_trait::async_trait;
use game_realtime_domain::{Cursor, Epoch, EventId, EventType, Timestamp};

use super::StoreError;
use crate::record::{NewEvent, PositionedEvent};

/// The durable log of events, in one order for the whole cluster.
///
/// Of two appends for one sender's connection, the one that is polled first is committed first, if
/// both succeed: what one connection sends keeps its order. When `append` returns `Ok`, the event
/// survives the death of every node.
#[async_trait]
pub trait EventRepository: Send + Sync {
    /// Appends an event, or recognises a repeat of one by its receipt.
    ///
    /// An event without receipt MUST always be appended. With a receipt, the first append of its
    /// (scope, `request_id`) MUST be appended; a later one with the same fingerprint MUST return
    /// the first event with `duplicate` set and append nothing.
    /// When `presence_of` is set, `recipient_connections` MUST be the number of that player's
    /// connections in the registry at the commit (for a duplicate: now).
    /// When `trace` is set, the event MUST be read with a trace context of the same trace, by
    /// [`list`](Self::list) and by the feed of every node: this one, or that of a part of it.
    ///
    /// # Errors
    /// - MUST return [`AppendError::IdempotencyConflict`] if the receipt's key was used with
    ///   another fingerprint; nothing is appended.
    /// - MUST return [`AppendError::Store`] if the store cannot answer in time. The event may have
    ///   been committed nevertheless; a repeat with the same receipt tells.
    async fn append(&self, event: NewEvent) -> Result<Appended, AppendError>;

    /// The newest events of a type, newest first, at most `limit`.
    ///
    /// MUST read on the order of `limit` records, however many are stored. A record that cannot be
    /// read MUST be counted, logged and passed over.
    ///
    /// # Errors
    /// MUST return [`StoreError`] if the store cannot answer in time.
    async fn list(&self, event_type: EventType, limit: usize) -> Result<Listing, StoreError>;
}

/// Some events of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The history that their positions belong to.
    pub epoch: Epoch,
    /// The events, newest first.
    pub events: Vec<PositionedEvent>,
}

/// A committed event, as its sender learns of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The id of the committed event: the first one's for a duplicate.
    pub event_id: EventId,
    /// Where a client that saw this event has come to.
    pub cursor: Cursor,
    /// When the committed event was created.
    pub created_at: Timestamp,
    /// Whether the request had been committed before.
    pub duplicate: bool,
    /// How many connections `presence_of` had.
    pub recipient_connections: Option<u64>,
}

/// An event was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The `request_id` was used for something else.
    #[error("request id was used with another payload")]
    IdempotencyConflict,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
