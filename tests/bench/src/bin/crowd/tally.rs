//! What all clients together have seen.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Tally {
    /// Clients that were told that they have joined.
    pub(crate) joined: Counter,
    /// Frames with the broadcast.
    pub(crate) deliveries: Counter,
    /// Bytes of their payloads.
    pub(crate) bytes: Counter,
}

/// Counts, and wakes who waits for a number. The program has one thread.
#[derive(Default)]
pub(crate) struct Counter {
    count: AtomicU64,
    target: AtomicU64,
    reached: Notify,
}

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        let count = self.count.fetch_add(more, Ordering::Relaxed) + more;
        if count == self.target.load(Ordering::Relaxed) {
            self.reached.notify_one();
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until the count has come to `target`.
    pub(crate) async fn reach(&self, target: u64) {
        self.target.store(target, Ordering::Relaxed);
        let reached = async {
            while self.count() < target {
                self.reached.notified().await;
            }
        };
        if timeout(PATIENCE, reached).await.is_err() {
            panic!("only {} of {target} after {PATIENCE:?}", self.count());
        }
    }
}
