//! Watches what a node says of its own health, and when that changes.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::get;

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What was seen at one node, from the beginning on.
#[derive(Debug, Default)]
struct Seen {
    /// When `/readyz` began to say 200, or ceased to.
    readiness: Vec<(Instant, bool)>,
    /// When `/healthz` did not say 200.
    not_alive: Vec<Instant>,
}

/// Asks a node's admin port all the time until dropped.
#[derive(Debug)]
pub struct Vitals {
    seen: Arc<Mutex<Seen>>,
    asking: [JoinHandle<()>; 2],
}

impl Vitals {
    /// Watches the node with this admin port.
    #[must_use]
    pub fn watch(admin_port: u16) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let (of_ready, of_alive) = (Arc::clone(&seen), Arc::clone(&seen));
        let ready = tokio::spawn(async move {
            loop {
                let ready = says_200(admin_port, "/readyz").await;
                of_ready.lock().expect("no holder panics").readiness_is(ready);
                sleep(POLL_INTERVAL).await;
            }
        });
        let alive = tokio::spawn(async move {
            loop {
                if !says_200(admin_port, "/healthz").await {
                    of_alive.lock().expect("no holder panics").not_alive.push(Instant::now());
                }
                sleep(POLL_INTERVAL).await;
            }
        });
        Self { seen, asking: [ready, alive] }
    }

    /// What it said last.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let seen = self.seen.lock().expect("no holder panics");
        seen.readiness.last().is_some_and(|(_, ready)| *ready)
    }

    /// How long after `since` it first said so.
    #[must_use]
    pub fn turned(&self, ready: bool, since: Instant) -> Option<Duration> {
        let seen = self.seen.lock().expect("no holder panics");
        let at = seen.readiness.iter().find(|(at, said)| *said == ready && *at >= since);
        at.map(|(at, _)| *at - since)
    }

    /// How often since then it did not say that it is alive.
    #[must_use]
    pub fn failures_of_liveness(&self, since: Instant) -> usize {
        let seen = self.seen.lock().expect("no holder panics");
        seen.not_alive.iter().filter(|at| **at >= since).count()
    }
}

impl Drop for Vitals {
    fn drop(&mut self) {
        self.asking.iter().for_each(JoinHandle::abort);
    }
}

impl Seen {
    fn readiness_is(&mut self, ready: bool) {
        if self.readiness.last().is_none_or(|(_, last)| *last != ready) {
            self.readiness.push((Instant::now(), ready));
        }
    }
}

async fn says_200(port: u16, path: &str) -> bool {
    get(port, path).await.is_ok_and(|response| response.status == 200)
}
