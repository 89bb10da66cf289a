//! Mends what etcd holds of this node: registers again what a lost lease took along, removes what
//! could not be removed when it ended, and puts right what [`Reconciler`] finds.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};

use game_realtime_domain::{Connection, ConnectionId};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    batch::{Answer, Write},
    cluster::Cluster,
    heard_orders::HeardOrders,
    jitter::jittered,
    leases::Leases,
    local_registry::LocalRegistry,
    reconciler::Reconciler,
    write_queue::Lanes,
};

/// Between two rounds if nobody asks for one.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two rounds, however often somebody asks.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// Connections that are written before their answers are awaited: some transactions' worth,
/// so that those who connect meanwhile find their way in between.
const STEP: usize = 4000;

pub(crate) struct Mender {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) registry: Arc<LocalRegistry>,
    pub(crate) orders: Arc<HeardOrders>,
    pub(crate) reconciler: Reconciler,
    pub(crate) lanes: Weak<Lanes>,
    /// Somebody knows of something to mend.
    pub(crate) asked: Arc<Notify>,
}

impl Mender {
    /// Runs until the store is closed.
    pub(crate) async fn run(mut self) {
        loop {
            sleep(jittered(SHORTEST_PAUSE)).await;
            timeout(jittered(PAUSE), self.asked.notified()).await.ok();
            let Some(lanes) = self.lanes.upgrade() else { return };
            self.register_again(&lanes).await;
            self.clean_up(&lanes).await;
            match self.reconciler.step().await {
                Ok(found) if found > 0 => self.asked.notify_one(),
                Ok(_) => {}
                // The keeper says when etcd is in trouble.
                Err(error) => debug!(?error, "registry not compared"),
            }
        }
    }

    async fn register_again(&self, lanes: &Lanes) {
        let assigned =
            timeout(self.cluster.request_timeout(), self.registry.assign_leases(&self.leases));
        match assigned.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                debug!(?error, "no leases for connections that lost theirs");
                return;
            }
            Err(_elapsed) => return,
        }
        let mut registered = 0_u64;
        loop {
            let some = self.registry.take_unregistered(STEP);
            if some.is_empty() {
                break;
            }
            let ids: Vec<_> = some.iter().map(|connection| connection.id).collect();
            let (done, failed) = self
                .write(lanes, some, |connection, answer| Write::Register { connection, answer })
                .await;
            for (id, revision) in &done {
                self.orders.registered(*id, *revision);
            }
            let done: HashSet<_> = done.into_iter().map(|(id, _)| id).collect();
            for id in ids.iter().filter(|id| !done.contains(id)) {
                self.registry.still_unregistered(*id);
            }
            registered += u64::try_from(done.len()).unwrap_or_default();
            if failed > 0 {
                warn!(connections = failed, "connections not registered again, trying later");
                break;
            }
        }
        if registered > 0 {
            metrics::counter!("game_realtime_registry_repairs_total", "kind" => "registered")
                .increment(registered);
            info!(connections = registered, "connections registered again");
        }
    }

    async fn clean_up(&self, lanes: &Lanes) {
        let leftovers = self.registry.leftovers(STEP);
        if leftovers.is_empty() {
            return;
        }
        let done = if self.cluster.space().is_exhausted() {
            // etcd refuses transactions now, even those that only delete.
            let mut done = Vec::new();
            for connection in leftovers {
                if self.reconciler.delete(&connection).await.is_err() {
                    break;
                }
                done.push(connection.id);
            }
            done
        } else {
            let unregister = |connection, answer| Write::Unregister { connection, answer };
            self.write(lanes, leftovers, unregister).await.0.into_iter().map(|(id, _)| id).collect()
        };
        for id in done {
            self.registry.cleaned(id);
        }
    }

    /// Writes for some connections. Returns for which it is done, at which revision, and how many
    /// were refused.
    async fn write(
        &self,
        lanes: &Lanes,
        connections: Vec<Connection>,
        write: impl Fn(Connection, Answer) -> Write,
    ) -> (Vec<(ConnectionId, u64)>, usize) {
        let patience = self.cluster.request_timeout();
        let all = connections.len();
        let mut waiting = Vec::with_capacity(all);
        for connection in connections {
            let id = connection.id;
            let (answer, written) = oneshot::channel();
            let write = write(connection, answer);
            if send(lanes.of(&write), write, patience).await.is_err() {
                break;
            }
            waiting.push((id, written));
        }
        let mut done = Vec::with_capacity(waiting.len());
        for (id, written) in waiting {
            if let Ok(Ok(Ok(revision))) = timeout(patience, written).await {
                done.push((id, revision));
            }
        }
        let failed = all - done.len();
        (done, failed)
    }
}

async fn send(lane: &mpsc::Sender<Write>, write: Write, patience: Duration) -> Result<(), ()> {
    match timeout(patience, lane.send(write)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(()),
    }
}
