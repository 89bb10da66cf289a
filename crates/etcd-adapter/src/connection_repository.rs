//! The connection registry on etcd.

use std::sync::Arc;

use async_trait::async_trait;
use etcd_client::{Txn, TxnOp, TxnOpResponse};
use game_realtime_application::ports::{ConnectionRepository, StoreError};
use game_realtime_domain::{Connection, ConnectionId, Namespace, UserId};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    batch::Write, cluster::Cluster, connection_pages::ConnectionPages, heard_orders::HeardOrders,
    keys::Keys, leases::Leases, local_registry::LocalRegistry, records, write_queue::WriteQueue,
};

/// Registers through the node's writer, under the node's leases.
pub(crate) struct EtcdConnectionRepository {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) keys: Keys,
    pub(crate) leases: Arc<Leases>,
    pub(crate) registry: Arc<LocalRegistry>,
    pub(crate) orders: Arc<HeardOrders>,
    pub(crate) writes: WriteQueue,
}

#[async_trait]
impl ConnectionRepository for EtcdConnectionRepository {
    async fn save(&self, connection: &Connection) -> Result<(), StoreError> {
        let lease = timeout(self.writes.request_timeout, self.leases.assign())
            .await
            .map_err(StoreError::unavailable)??;
        self.registry.insert(connection.clone(), lease);
        let (answer, written) = oneshot::channel();
        let write = Write::Register { connection: connection.clone(), answer };
        let revision = self.writes.write(write, written).await??;
        self.orders.registered(connection.id, revision);
        Ok(())
    }

    async fn delete(&self, connection: &Connection) -> Result<(), StoreError> {
        if let Some(local) = self.registry.end(connection) {
            self.leases.release(local.lease);
        }
        let (answer, written) = oneshot::channel();
        let write = Write::Unregister { connection: connection.clone(), answer };
        self.writes.write(write, written).await??;
        self.registry.cleaned(connection.id);
        Ok(())
    }

    async fn get(&self, id: ConnectionId) -> Result<Option<Connection>, StoreError> {
        let keys = Namespace::ALL.map(|namespace| self.keys.connection(namespace, id));
        let txn = Txn::new().and_then(keys.map(|key| TxnOp::get(key, None)));
        let response = self.cluster.kv(|mut kv| async move { kv.txn(txn).await }).await?;
        let pair = response.op_responses().into_iter().find_map(|response| match response {
            TxnOpResponse::Get(get) => get.kvs().first().cloned(),
            TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
        });
        pair.map(|pair| records::decode_connection(id, pair.value()))
            .transpose()
            .map_err(StoreError::corrupt)
    }

    async fn list_by_namespace(
        &self,
        namespace: Namespace,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        ConnectionPages { cluster: &self.cluster, prefix: self.keys.namespace(namespace) }
            .page(after, limit)
            .await
    }

    async fn list_by_user(
        &self,
        user_id: &UserId,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        ConnectionPages { cluster: &self.cluster, prefix: self.keys.user(user_id) }
            .page(after, limit)
            .await
    }
}
