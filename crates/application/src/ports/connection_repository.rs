//! The port to the registry of connections, shared by all nodes.

use async_trait::async_trait;
use game_realtime_domain::{Connection, ConnectionId, Namespace, UserId};

use super::StoreError;

/// Who is connected, on every node. An entry lives no longer than its node: a store that is shared
/// MUST drop the entries of a node that died within a bounded time.
#[async_trait]
pub trait ConnectionRepository: Send + Sync {
    /// Registers a connection, with every index, in one step: [`get`](Self::get) finds it exactly
    /// when the lists do.
    ///
    /// # Errors
    /// MUST return [`StoreError`] if the store cannot answer in time; the entry may exist
    /// nevertheless and the caller MUST delete it.
    async fn save(&self, connection: &Connection) -> Result<(), StoreError>;

    /// Removes a connection and its index entries in one step. Removing one that is not there is
    /// no error.
    ///
    /// # Errors
    /// MUST return [`StoreError`] if the store cannot answer in time. The implementation MUST then
    /// see to it by itself that the entry goes.
    async fn delete(&self, connection: &Connection) -> Result<(), StoreError>;

    /// Finds a connection on any node; `None` if there is none.
    ///
    /// # Errors
    /// MUST return [`StoreError`] if the store cannot answer in time.
    async fn get(&self, id: ConnectionId) -> Result<Option<Connection>, StoreError>;

    /// The connections of a namespace on all nodes, by ascending id, at most `limit`, after `after`.
    ///
    /// MUST show the registry at one moment, so that fewer than `limit` are all that are left; and
    /// MUST read on the order of `limit` records, however many are registered.
    ///
    /// # Errors
    /// MUST return [`StoreError`] if the store cannot answer in time.
    async fn list_by_namespace(
        &self,
        namespace: Namespace,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError>;

    /// The connections of a player on all nodes, as
    /// [`list_by_namespace`](Self::list_by_namespace) lists those of a namespace.
    ///
    /// # Errors
    /// MUST return [`StoreError`] if the store cannot answer in time.
    async fn list_by_user(
        &self,
        user_id: &UserId,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError>;
}
