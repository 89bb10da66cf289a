//! [`ConnectionRepository`] on the memory of the only node.

use std::sync::Arc;

use async_trait::async_trait;
use game_realtime_application::ports::{ConnectionRepository, StoreError};
use game_realtime_domain::{Connection, ConnectionId, Namespace, UserId};

use crate::registry::Registry;

/// The registry of a store that has one node: a connection cannot outlive the process, so neither
/// does its entry. It always answers.
#[derive(Clone)]
pub struct EmbeddedConnectionRepository {
    registry: Arc<Registry>,
}

impl EmbeddedConnectionRepository {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

#[async_trait]
impl ConnectionRepository for EmbeddedConnectionRepository {
    async fn save(&self, connection: &Connection) -> Result<(), StoreError> {
        self.registry.lock().save(connection);
        Ok(())
    }

    async fn delete(&self, connection: &Connection) -> Result<(), StoreError> {
        self.registry.lock().delete(connection.id);
        Ok(())
    }

    async fn get(&self, id: ConnectionId) -> Result<Option<Connection>, StoreError> {
        Ok(self.registry.lock().get(id))
    }

    async fn list_by_namespace(
        &self,
        namespace: Namespace,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        Ok(self.registry.lock().list_by_namespace(namespace, after, limit))
    }

    async fn list_by_user(
        &self,
        user_id: &UserId,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        Ok(self.registry.lock().list_by_user(user_id, after, limit))
    }
}
