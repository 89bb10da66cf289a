//! Compares what hangs on the node's leases in etcd with what is connected here, one lease after
//! the other, and puts right what differs.

use std::{sync::Arc, time::Duration};

use etcd_client::{Compare, CompareOp, DeleteOptions, Txn, TxnOp, TxnOpResponse};
use game_realtime_domain::{Connection, ConnectionId};
use tokio::time::sleep;
use tracing::warn;

use crate::{
    cluster::{CallError, Cluster},
    jitter::jittered,
    keys::{Keys, connection_of},
    leases::{Attached, LeaseId, Leases},
    local_registry::LocalRegistry,
};

/// What is missing has to be missing twice, so long apart: the member that is asked about a lease
/// may be behind the one that took the registration.
const SECOND_LOOK: Duration = Duration::from_millis(300);
/// Keys removed in one step: etcd's limit on operations.
const REMOVALS: usize = 100;

pub(crate) struct Reconciler {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) keys: Keys,
    pub(crate) leases: Arc<Leases>,
    pub(crate) registry: Arc<LocalRegistry>,
    /// Whose turn it is: a place among the node's leases.
    pub(crate) turn: usize,
}

impl Reconciler {
    /// Looks at one lease. Returns how many connections have to be registered again.
    pub(crate) async fn step(&mut self) -> Result<usize, CallError> {
        let held = self.leases.held();
        let place = self.turn.checked_rem(held.len()).unwrap_or_default();
        let Some(lease) = held.get(place).copied() else { return Ok(0) };
        self.turn = place + 1;
        // Those that are known to be written before etcd is asked. (Those that are not are asked
        // about below: what is in etcd was in the registry before.)
        let expected = self.registry.registered_on(lease);
        let Some(attached) = self.leases.attached(lease).await? else {
            self.leases.suspect();
            return Ok(0);
        };
        let missing = self.missing(lease, expected, &attached).await?;
        for id in &missing {
            self.registry.still_unregistered(*id);
        }
        let removed = self.remove_stale(lease, &attached).await?;
        if missing.len() + removed > 0 {
            warn!(
                lease.id = lease,
                missing = missing.len(),
                stale = removed,
                "etcd's registry differed from the connections here, mending it"
            );
            let repaired =
                |kind| metrics::counter!("game_realtime_registry_repairs_total", "kind" => kind);
            repaired("missing").increment(u64::try_from(missing.len()).unwrap_or_default());
            repaired("stale").increment(u64::try_from(removed).unwrap_or_default());
        }
        Ok(missing.len())
    }

    /// Deletes what is stored of a connection, key by key: etcd takes this even without room.
    pub(crate) async fn delete(&self, connection: &Connection) -> Result<(), CallError> {
        for key in self.keys.registration(connection) {
            self.cluster.kv(|mut kv| async move { kv.delete(key, None).await }).await?;
        }
        Ok(())
    }

    async fn missing(
        &self,
        lease: LeaseId,
        mut expected: Vec<Connection>,
        attached: &Attached,
    ) -> Result<Vec<ConnectionId>, CallError> {
        expected.retain(|connection| !self.is_in(connection, attached));
        if expected.is_empty() {
            return Ok(Vec::new());
        }
        sleep(jittered(SECOND_LOOK)).await;
        let Some(again) = self.leases.attached(lease).await? else {
            self.leases.suspect();
            return Ok(Vec::new());
        };
        expected.retain(|connection| {
            !self.is_in(connection, &again)
                && self.registry.get(connection.id).is_some_and(|local| local.lease == lease)
        });
        Ok(expected.iter().map(|connection| connection.id).collect())
    }

    fn is_in(&self, connection: &Connection, attached: &Attached) -> bool {
        let mut keys = self.keys.registration(connection);
        keys.all(|key| attached.keys.contains(key.as_bytes()))
    }

    /// Removes what hangs on a lease and belongs to no connection of this node. A key that was
    /// written since, or hangs on another lease now, is somebody's and stays.
    async fn remove_stale(&self, lease: LeaseId, attached: &Attached) -> Result<usize, CallError> {
        let newer = i64::try_from(attached.revision + 1).unwrap_or(i64::MAX);
        let removals: Vec<_> = attached
            .keys
            .iter()
            .filter(|key| self.keys.is_registration(key) && !self.is_ours(key))
            .take(REMOVALS)
            .map(|key| {
                let key = key.as_slice();
                TxnOp::txn(
                    Txn::new()
                        .when([
                            Compare::lease(key, CompareOp::Equal, lease),
                            Compare::mod_revision(key, CompareOp::Less, newer),
                        ])
                        .and_then([TxnOp::delete(key, None::<DeleteOptions>)]),
                )
            })
            .collect();
        if removals.is_empty() {
            return Ok(0);
        }
        let txn = Txn::new().and_then(removals);
        let response = self.cluster.kv(|mut kv| async move { kv.txn(txn).await }).await?;
        let removed = response.op_responses().into_iter().filter(|response| match response {
            TxnOpResponse::Txn(nested) => nested.succeeded(),
            TxnOpResponse::Put(_) | TxnOpResponse::Get(_) | TxnOpResponse::Delete(_) => false,
        });
        Ok(removed.count())
    }

    fn is_ours(&self, key: &[u8]) -> bool {
        let id = std::str::from_utf8(key).ok().and_then(connection_of);
        id.and_then(|id| self.registry.known(id)).is_some_and(|connection| {
            let mut keys = self.keys.registration(&connection);
            keys.any(|ours| ours.as_bytes() == key)
        })
    }
}
