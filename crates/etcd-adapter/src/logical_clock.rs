//! Time stamps for the keys of events: the time of day, but never behind a stamp that was seen.
//!
//! This is the physical part of a hybrid logical clock (Kulkarni et al., "Logical Physical
//! Clocks", 2014). Every node sees every event, so a node whose clock is slow still stamps its
//! events after those it has seen, and key order differs from commit order only among events
//! that were on their way at the same time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use game_realtime_application::ports::Clock;

pub(crate) struct LogicalClock {
    clock: Arc<dyn Clock>,
    last: AtomicU64,
}

impl LogicalClock {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: AtomicU64::new(0) }
    }

    /// A stamp after all that this node has given out or seen.
    pub(crate) fn next(&self) -> u64 {
        let now = self.clock.now().as_millis();
        let next = |last: u64| Some(now.max(last + 1));
        match self.last.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            Ok(last) | Err(last) => now.max(last + 1),
        }
    }

    /// Notes a stamp that another node has given out.
    pub(crate) fn observe(&self, stamp: u64) {
        self.last.fetch_max(stamp, Ordering::AcqRel);
    }

    /// The latest stamp that was given out or seen; now, if there was none.
    pub(crate) fn newest(&self) -> u64 {
        match self.last.load(Ordering::Acquire) {
            0 => self.now(),
            last => last,
        }
    }

    /// The time of day, in milliseconds since the epoch.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now().as_millis()
    }
}
