//! When nothing is broken: only then a refusal or a lost connection is a fault, and a latency counts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use game_realtime_loadgen::clock::{Clock, Micros, micros};

/// How long after a repair the clients may take to be back and to have caught up.
pub(super) const SETTLING: Duration = Duration::from_secs(10);
const DISTURBED: Micros = Micros::MAX;

/// Whether something is broken, shared by all.
#[derive(Debug, Clone)]
pub(super) struct Calm {
    clock: Clock,
    since: Arc<AtomicU64>,
}

impl Calm {
    /// Nothing is broken yet, but the run has just begun.
    pub(super) fn new(clock: Clock) -> Self {
        let calm = Self { clock, since: Arc::new(AtomicU64::new(DISTURBED)) };
        calm.mend();
        calm
    }

    /// Something is about to be broken.
    pub(super) fn disturb(&self) {
        self.since.store(DISTURBED, Ordering::Relaxed);
    }

    /// Everything runs again.
    pub(super) fn mend(&self) {
        self.since.store(self.clock.now() + micros(SETTLING), Ordering::Relaxed);
    }

    /// Whether nothing has been broken since `begin`.
    pub(super) fn has_lasted_since(&self, begin: Micros) -> bool {
        begin >= self.since.load(Ordering::Relaxed)
    }

    /// Whether nothing is broken.
    pub(super) fn is_now(&self) -> bool {
        self.has_lasted_since(self.clock.now())
    }
}
