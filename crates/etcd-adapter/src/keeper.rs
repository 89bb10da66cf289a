//! Keeps what etcd holds of this node true: renews leases, registers again what a lost lease took
//! along, and removes what could not be removed when it ended.

use std::sync::{Arc, Weak};

use tokio::{
    sync::oneshot,
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use crate::{
    batch::Write,
    leases::Leases,
    local_registry::LocalRegistry,
    write_queue::{Lanes, lane},
};

pub(crate) struct Keeper {
    pub(crate) leases: Arc<Leases>,
    pub(crate) registry: Arc<LocalRegistry>,
    pub(crate) lanes: Weak<Lanes>,
}

impl Keeper {
    /// Runs until the store is closed.
    pub(crate) async fn run(self) {
        let mut failing = false;
        let mut renewals = interval(self.leases.renewal_interval());
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = renewals.tick() => {}
                () = self.leases.suspected() => {}
            }
            match self.leases.renew().await {
                Ok(lost) => {
                    failing = false;
                    lost.into_iter().for_each(|lease| self.registry.lease_lost(lease));
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(?error, "leases not renewed");
                    }
                    continue;
                }
            }
            let Some(lanes) = self.lanes.upgrade() else { return };
            self.register_again(&lanes).await;
            self.clean_up(&lanes).await;
        }
    }

    async fn register_again(&self, lanes: &Lanes) {
        if let Err(error) = self.registry.assign_leases(&self.leases).await {
            warn!(?error, "no leases for connections that lost theirs");
            return;
        }
        let mut waiting = Vec::new();
        for connection in self.registry.take_unregistered() {
            let id = connection.id;
            let (answer, written) = oneshot::channel();
            if lane(lanes, id).send(Write::Register { connection, answer }).await.is_err() {
                return;
            }
            waiting.push((id, written));
        }
        let count = waiting.len();
        let mut failed = 0_usize;
        for (id, written) in waiting {
            if !matches!(written.await, Ok(Ok(()))) {
                failed += 1;
                self.registry.still_unregistered(id);
            }
        }
        if count > 0 {
            info!(connections = count, failed, "connections registered again");
        }
    }

    async fn clean_up(&self, lanes: &Lanes) {
        let mut waiting = Vec::new();
        for connection in self.registry.leftovers() {
            let id = connection.id;
            let (answer, written) = oneshot::channel();
            if lane(lanes, id).send(Write::Unregister { connection, answer }).await.is_err() {
                return;
            }
            waiting.push((id, written));
        }
        for (id, written) in waiting {
            if matches!(written.await, Ok(Ok(()))) {
                self.registry.cleaned(id);
            }
        }
    }
}
