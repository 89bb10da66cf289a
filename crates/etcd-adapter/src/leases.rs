//! The leases of a node: what etcd forgets when the node dies.
//!
//! A few leases per node, each with a bounded number of keys: one per connection would drown etcd
//! in keep-alives, one for all would block it when it expires.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use etcd_client::LeaseTimeToLiveOptions;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::{debug, warn};

use crate::{
    cluster::{CallError, Cluster},
    epoch::revision,
};

/// A lease's id.
pub(crate) type LeaseId = i64;

/// Connections per lease; each has two keys at most.
const CONNECTIONS_PER_LEASE: usize = 500;
/// Leases are renewed at least this often, so that a revoked one is noticed soon.
const LONGEST_RENEWAL: Duration = Duration::from_secs(1);
/// Leases that are renewed or given back at the same time.
const SIDE_BY_SIDE: usize = 16;

pub(crate) struct Leases {
    cluster: Arc<Cluster>,
    ttl: Duration,
    state: Mutex<State>,
    /// Held while a lease is granted: those who come meanwhile find room on it.
    granting: tokio::sync::Mutex<()>,
    /// A lease was lost.
    lost: Notify,
}

/// What hangs on a lease.
pub(crate) struct Attached {
    /// When etcd said so.
    pub(crate) revision: u64,
    pub(crate) keys: HashSet<Vec<u8>>,
}

#[derive(Default)]
struct State {
    held: Vec<Held>,
    renewed_at: Option<Instant>,
}

struct Held {
    id: LeaseId,
    connections: usize,
}

impl Leases {
    pub(crate) fn new(cluster: Arc<Cluster>, ttl: Duration) -> Self {
        Self {
            cluster,
            ttl,
            state: Mutex::default(),
            granting: tokio::sync::Mutex::default(),
            lost: Notify::new(),
        }
    }

    /// Finds a lease with room for a connection, or gets a new one.
    pub(crate) async fn assign(&self) -> Result<LeaseId, CallError> {
        if let Some(id) = self.assign_held() {
            return Ok(id);
        }
        let _granting = self.granting.lock().await;
        if let Some(id) = self.assign_held() {
            return Ok(id);
        }
        let id = self.grant(self.ttl).await?;
        self.lock().held.push(Held { id, connections: 1 });
        Ok(id)
    }

    fn assign_held(&self) -> Option<LeaseId> {
        let mut state = self.lock();
        let held = state.held.iter_mut().find(|held| held.connections < CONNECTIONS_PER_LEASE)?;
        held.connections += 1;
        Some(held.id)
    }

    /// Gives a connection's place back.
    pub(crate) fn release(&self, id: LeaseId) {
        if let Some(held) = self.lock().held.iter_mut().find(|held| held.id == id) {
            held.connections = held.connections.saturating_sub(1);
        }
    }

    /// Whether a lease is one of those the node holds.
    pub(crate) fn holds(&self, id: LeaseId) -> bool {
        self.lock().held.iter().any(|held| held.id == id)
    }

    /// Whether the node holds a lease that etcd has confirmed within its time to live.
    pub(crate) fn is_current(&self) -> bool {
        let renewed_at = self.lock().renewed_at;
        renewed_at.is_some_and(|renewed_at| renewed_at.elapsed() < self.ttl)
    }

    /// How long the node's leases live at least, if they are not renewed.
    pub(crate) fn left(&self) -> Duration {
        let renewed_at = self.lock().renewed_at;
        renewed_at
            .map_or(Duration::ZERO, |renewed_at| self.ttl.saturating_sub(renewed_at.elapsed()))
    }

    /// The leases that the node holds.
    pub(crate) fn held(&self) -> Vec<LeaseId> {
        self.lock().held.iter().map(|held| held.id).collect()
    }

    /// Makes sure that the node holds a lease and that all it holds are alive. Those that are lost
    /// it holds no more; what hung on them has to be registered again.
    pub(crate) async fn renew(&self) -> Result<(), CallError> {
        self.hold_one().await?;
        let started = Instant::now();
        let mut waiting = self.held().into_iter();
        let mut renewals = JoinSet::new();
        let mut lost = false;
        loop {
            while renewals.len() < SIDE_BY_SIDE
                && let Some(id) = waiting.next()
            {
                let cluster = Arc::clone(&self.cluster);
                renewals.spawn(async move { (id, keep_alive(&cluster, id).await) });
            }
            match renewals.join_next().await {
                None => break,
                Some(Ok((_, Ok(true)))) => {}
                Some(Ok((id, Ok(false)))) => {
                    warn!(lease.id = id, "lease is lost, registering its connections again");
                    self.lock().held.retain(|held| held.id != id);
                    lost = true;
                }
                Some(Ok((_, Err(error)))) => return Err(error),
                // The task panicked; it says so itself.
                Some(Err(_)) => lost = true,
            }
        }
        if !lost {
            self.lock().renewed_at = Some(started);
        }
        Ok(())
    }

    /// Makes sure that the node holds a lease, dead or alive.
    pub(crate) async fn hold_one(&self) -> Result<(), CallError> {
        if !self.lock().held.is_empty() {
            return Ok(());
        }
        let _granting = self.granting.lock().await;
        if self.lock().held.is_empty() {
            let id = self.grant(self.ttl).await?;
            let mut state = self.lock();
            state.held.push(Held { id, connections: 0 });
            state.renewed_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Asks etcd what hangs on a lease; `None` if the lease is gone.
    pub(crate) async fn attached(&self, id: LeaseId) -> Result<Option<Attached>, CallError> {
        let options = LeaseTimeToLiveOptions::new().with_keys();
        let answer = self
            .cluster
            .lease(|mut leases| async move { leases.time_to_live(id, Some(options)).await })
            .await;
        let answer = match answer {
            Err(error) if error.is_lease_not_found() => return Ok(None),
            answer => answer?,
        };
        Ok((answer.ttl() >= 0).then(|| Attached {
            revision: revision(answer.header()),
            keys: answer.keys().iter().cloned().collect(),
        }))
    }

    /// How long to wait before the next renewal.
    pub(crate) fn renewal_interval(&self) -> Duration {
        LONGEST_RENEWAL.min(self.ttl / 3)
    }

    /// Asks for a renewal before its time.
    pub(crate) fn suspect(&self) {
        self.lost.notify_one();
    }

    /// Waits until somebody suspects that a lease is lost.
    pub(crate) async fn suspected(&self) {
        self.lost.notified().await;
    }

    /// Gives all leases back, and with them all that the node has registered. What is not given back
    /// within the time of a request expires by itself.
    pub(crate) async fn revoke(&self) {
        let held = std::mem::take(&mut self.lock().held);
        let mut waiting = held.into_iter();
        let mut revocations = JoinSet::new();
        let all = async {
            loop {
                while revocations.len() < SIDE_BY_SIDE
                    && let Some(Held { id, .. }) = waiting.next()
                {
                    let cluster = Arc::clone(&self.cluster);
                    revocations.spawn(async move {
                        cluster.lease(|mut leases| async move { leases.revoke(id).await }).await
                    });
                }
                match revocations.join_next().await {
                    None => break,
                    Some(Ok(Ok(_))) => {}
                    Some(Ok(Err(error))) => debug!(?error, "lease not revoked"),
                    Some(Err(error)) => debug!(?error, "lease not revoked"),
                }
            }
        };
        if timeout(self.cluster.request_timeout(), all).await.is_err() {
            debug!("leases not revoked in time, they expire by themselves");
        }
    }

    /// Gets a lease that the node does not keep alive unless it is told so.
    pub(crate) async fn grant(&self, ttl: Duration) -> Result<LeaseId, CallError> {
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX).max(1);
        self.cluster
            .lease(|mut leases| async move { Ok(leases.grant(seconds, None).await?.id()) })
            .await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews one lease; `false` if it is gone.
async fn keep_alive(cluster: &Cluster, id: LeaseId) -> Result<bool, CallError> {
    let renewed = cluster.lease(|mut leases| async move {
        // The client makes an error of an answer without time to live.
        leases.keep_alive(id).await.map(|_| true)
    });
    match renewed.await {
        Err(error) if error.is_lease_not_found() => Ok(false),
        answer => answer,
    }
}
