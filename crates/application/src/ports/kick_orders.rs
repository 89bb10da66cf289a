//! The port to the orders that connections be ended, wherever they are.

use async_trait::async_trait;
use game_realtime_domain::{ConnectionId, Recipient};

use super::StoreError;

/// Orders that connections be ended: given on any node, heard by the one that holds them.
///
/// An order concerns the connections that were saved in the registry before it was given, and no
/// others, however soon the same player comes back.
#[async_trait]
pub trait KickOrders: Send + Sync {
    /// Orders that the connections of `target` be ended. Returns how many of them the registry
    /// holds at that moment.
    ///
    /// When it returns `Ok`, every node MUST come to hear of the order: also one that is cut off
    /// from the store, or unknown to it, as long as it keeps its clients.
    ///
    /// # Errors
    /// MUST return [`StoreError`] if the store cannot answer in time. The order may have been given
    /// nevertheless.
    async fn give(&self, target: &Recipient) -> Result<u64, StoreError>;

    /// Waits for orders, and names the connections of this node that they concern.
    ///
    /// MUST name every connection that was saved here before the order was given and not deleted
    /// since, and MUST NOT name one that was saved after it. What an order concerns MUST be named no
    /// later than what concerns the orders that were given after it. A connection may be named more
    /// than once. Dropping the future before it is ready MUST NOT lose any. Only one may wait.
    async fn next(&self) -> Vec<ConnectionId>;
}
