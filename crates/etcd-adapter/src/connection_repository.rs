//! The connection registry on etcd.

use std::sync::Arc;

use async_trait::async_trait;
use etcd_client::{GetOptions, KvClient, Txn, TxnOp, TxnOpResponse};
use game_realtime_application::ports::{ConnectionRepository, StoreError};
use game_realtime_domain::{Connection, ConnectionId, Namespace, UserId};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    batch::Write,
    cluster::Cluster,
    connection_index::{ConnectionIndex, Ids},
    heard_orders::HeardOrders,
    keys::Keys,
    leases::Leases,
    local_registry::LocalRegistry,
    records,
    write_queue::WriteQueue,
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

/// How many records are read in one transaction: etcd's limit on operations.
const READS: usize = 100;

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
        let key = self.keys.connection(id);
        let response = self.cluster.kv(|mut kv| async move { kv.get(key, None).await }).await?;
        response
            .kvs()
            .first()
            .map(|pair| records::decode_connection(id, pair.value()))
            .transpose()
            .map_err(StoreError::corrupt)
    }

    async fn list_by_namespace(
        &self,
        namespace: Namespace,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        self.list(self.keys.namespace(namespace), after, limit).await
    }

    async fn list_by_user(
        &self,
        user_id: &UserId,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        self.list(self.keys.user(user_id), after, limit).await
    }
}

impl EtcdConnectionRepository {
    /// Reads an index, then the records it names, as they were then.
    async fn list(
        &self,
        index: String,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        if limit == 0 {
            // etcd would take it for no limit.
            return Ok(Vec::new());
        }
        let index = ConnectionIndex { cluster: &self.cluster, prefix: index };
        let Ids { ids, revision } = index.page(after, limit).await?;
        let then = GetOptions::new().with_revision(revision);
        let mut connections = Vec::with_capacity(ids.len());
        for ids in ids.chunks(READS) {
            let read = |id: &_| TxnOp::get(self.keys.connection(*id), Some(then.clone()));
            let reads: Vec<_> = ids.iter().map(read).collect();
            let txn = Txn::new().and_then(reads);
            let response =
                self.cluster.kv(|mut kv: KvClient| async move { kv.txn(txn).await }).await?;
            for (id, response) in ids.iter().zip(response.op_responses()) {
                let TxnOpResponse::Get(get) = response else { continue };
                if let Some(pair) = get.kvs().first() {
                    let connection = records::decode_connection(*id, pair.value());
                    connections.push(connection.map_err(StoreError::corrupt)?);
                }
            }
        }
        Ok(connections)
    }
}
