//! Keeps the node's leases alive and notices when one is lost. The [mender](crate::mender) then
//! registers again what hung on it.

use std::{sync::Arc, time::Duration};

use game_realtime_application::panics::panic_point;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{
    cluster::Cluster, epoch::EpochCell, jitter::jittered, leases::Leases,
    local_registry::LocalRegistry,
};

/// Between two rounds, however often somebody suspects that a lease is lost.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Keeper {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) epoch: Arc<EpochCell>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) registry: Arc<LocalRegistry>,
    /// Wakes the mender.
    pub(crate) mend: Arc<Notify>,
}

impl Keeper {
    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        let mut failing = false;
        loop {
            panic_point("lease keeper");
            match self.leases.renew().await {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        info!("leases are renewed again");
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(?error, "leases not renewed");
                    }
                }
            }
            metrics::gauge!("game_realtime_lease_left_seconds")
                .set(self.leases.left().as_secs_f64());
            if self.registry.note_lost(&self.leases) > 0 {
                self.mend.notify_one();
            }
            if self.cluster.space().is_exhausted() {
                // The answer is noted where it arrives.
                self.epoch.probe().await.ok();
            }
            sleep(jittered(SHORTEST_PAUSE)).await;
            let pause = jittered(self.leases.renewal_interval());
            // Whether the time is up or somebody suspects something: it goes on.
            timeout(pause, self.leases.suspected()).await.ok();
        }
    }
}
