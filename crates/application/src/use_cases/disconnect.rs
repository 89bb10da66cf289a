//! Forget a connection that has ended.

use std::sync::Arc;

use game_realtime_domain::Connection;
use tracing::warn;

use crate::{delivery::DeliveryHandle, ports::ConnectionRepository};

/// Removes ended connections from delivery and registry.
pub struct Disconnect {
    connections: Arc<dyn ConnectionRepository>,
    delivery: DeliveryHandle,
}

impl Disconnect {
    /// The use case on a registry and the node's delivery.
    pub fn new(connections: Arc<dyn ConnectionRepository>, delivery: DeliveryHandle) -> Self {
        Self { connections, delivery }
    }

    /// Removes the connection. It has ended whatever the store says: a failure is logged, and the
    /// repository mends it by itself.
    pub async fn execute(&self, connection: &Connection) {
        self.delivery.leave(connection.id).await;
        if let Err(error) = self.connections.delete(connection).await {
            warn!(
                connection.id = %connection.id,
                %error,
                cause = %error.source,
                "connection stays registered until the store answers"
            );
        }
    }
}
