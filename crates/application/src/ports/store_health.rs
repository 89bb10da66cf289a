//! The port that says whether the store can be relied on now.

use async_trait::async_trait;

use super::StoreError;

/// Whether this node's store answers and knows the node.
#[async_trait]
pub trait StoreHealth: Send + Sync {
    /// Asks the store.
    ///
    /// # Errors
    /// MUST return [`StoreError`] if a write would not be answered now, or if the store does not
    /// hold this node's registrations.
    async fn check(&self) -> Result<(), StoreError>;
}
