//! The gateways of the run and what they keep their events in; how they are killed, and how long they
//! take to be ready again.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::plan::{EndureStore, Plan};
use crate::{Etcd, Server, Settings, Store};

/// A node that is not ready by then ends the run.
const START_DEADLINE: Duration = Duration::from_secs(180);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const PREFIX: &str = "/e2e/endure";

/// What there is to be measured at this moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Targets {
    /// The process of etcd, and where it tells about itself.
    pub(super) etcd: Option<(u32, u16)>,
    /// The process of each node that runs, or has run last.
    pub(super) nodes: Vec<Option<u32>>,
    /// The embedded store.
    pub(super) file: Option<PathBuf>,
}

/// Targets, shared with who measures them.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedTargets(Arc<Mutex<Targets>>);

impl SharedTargets {
    pub(super) fn get(&self) -> Targets {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Targets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One gateway; none while it is down.
struct Gateway {
    settings: Settings,
    server: Option<Server>,
}

/// A start that was measured.
#[derive(Debug, Clone)]
pub struct Start {
    /// Which node, and why.
    pub what: String,
    /// From the start of the process to `/readyz` 200.
    pub took: Duration,
}

/// The processes of a run. Killed when dropped, gateways first.
pub(super) struct Fleet {
    gateways: Vec<Gateway>,
    etcd: Option<Etcd>,
    pub(super) starts: Vec<Start>,
    pub(super) targets: SharedTargets,
    _directory: TempDir,
}

impl Fleet {
    /// Starts everything.
    pub(super) async fn start(plan: &Plan) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let targets = SharedTargets::default();
        let (etcd, store, section) = match plan.store {
            EndureStore::Etcd => {
                let flags: Vec<&str> = plan.etcd_flags.iter().map(String::as_str).collect();
                let etcd = Etcd::start_with(&flags).await;
                targets.lock().etcd = Some((etcd.pid(), etcd.health_port()));
                let (endpoint, prefix) = (etcd.endpoint(), PREFIX.to_owned());
                (Some(etcd), Store::Etcd { endpoint, prefix }, "etcd")
            }
            EndureStore::Embedded => {
                let file = directory.path().join("events.redb");
                targets.lock().file = Some(file.clone());
                (None, Store::File(file), "embedded")
            }
        };
        let gateways = (0..plan.nodes()).map(|_| {
            let settings = Settings::new(&store);
            let settings = match plan.budget.as_str() {
                "" => settings,
                budget => settings.with(&format!("{section}.space_budget"), budget),
            };
            let settings = match (plan.compaction_interval, plan.store) {
                (Some(interval), EndureStore::Etcd) => {
                    settings.with("etcd.compaction_interval", &format!("{}s", interval.as_secs()))
                }
                (_, EndureStore::Etcd | EndureStore::Embedded) => settings,
            };
            Gateway { settings, server: None }
        });
        let gateways = gateways.collect();
        let mut fleet = Self { gateways, etcd, starts: Vec::new(), targets, _directory: directory };
        for node in 0..fleet.gateways.len() {
            fleet.bring_up(node, "at first").await;
        }
        fleet
    }

    /// How many gateways.
    pub(super) fn len(&self) -> usize {
        self.gateways.len()
    }

    /// The public ports.
    pub(super) fn ports(&self) -> Vec<u16> {
        self.gateways.iter().map(|gateway| gateway.settings.port()).collect()
    }

    /// Ends a node as a power cut would.
    pub(super) fn kill(&mut self, node: usize) {
        if let Some(server) = self.gateways.get_mut(node).and_then(|it| it.server.take()) {
            server.kill();
        }
    }

    /// Ends a node in good order.
    pub(super) async fn terminate(&mut self, node: usize) {
        if let Some(server) = self.gateways.get_mut(node).and_then(|it| it.server.take()) {
            server.stop().await;
        }
    }

    /// Kills etcd, and starts it again on the same data after a pause. Returns how long until all
    /// nodes are ready.
    pub(super) async fn restart_etcd(&mut self, pause: Duration) -> Duration {
        let Some(etcd) = &mut self.etcd else { return Duration::ZERO };
        etcd.kill();
        sleep(pause).await;
        let begin = Instant::now();
        etcd.restart().await;
        self.targets.lock().etcd = Some((etcd.pid(), etcd.health_port()));
        for gateway in &mut self.gateways {
            if let Some(server) = &mut gateway.server {
                await_ready(server, "after etcd was killed").await;
            }
        }
        begin.elapsed()
    }

    /// Starts a node and measures how long it takes to be ready.
    pub(super) async fn bring_up(&mut self, node: usize, why: &str) -> Duration {
        let Some(gateway) = self.gateways.get_mut(node) else { return Duration::ZERO };
        let begin = Instant::now();
        let mut server = Server::spawn(&gateway.settings);
        await_ready(&mut server, why).await;
        let took = begin.elapsed();
        gateway.server = Some(server);
        self.starts.push(Start { what: format!("node {node} {why}"), took });
        let pids = self.gateways.iter().map(|it| Some(it.server.as_ref()?.pid()));
        self.targets.lock().nodes = pids.collect();
        took
    }
}

async fn await_ready(server: &mut Server, why: &str) {
    let begin = Instant::now();
    while server.admin("/readyz").await.is_none_or(|answer| answer.status != 200) {
        if let Some(status) = server.exited() {
            panic!("a node {why} ended at once: {status}\n{}", server.log());
        }
        assert!(
            begin.elapsed() < START_DEADLINE,
            "a node {why} is not ready in {START_DEADLINE:?}"
        );
        sleep(POLL_INTERVAL).await;
    }
}
