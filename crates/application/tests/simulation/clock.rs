//! Time of day and identifiers of one node.

use std::sync::atomic::{AtomicU64, Ordering};

use game_realtime_application::ports::{Clock, IdGenerator};
use game_realtime_domain::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use crate::random::Random;

/// A clock that may be wrong, and that somebody sets forward and back.
pub(crate) struct JumpingClock {
    started: Instant,
    at_start: AtomicU64,
}

impl JumpingClock {
    /// In the middle of the range that jumps can reach.
    const START: u64 = 1_800_000_000_000;
    /// The furthest jump.
    pub(crate) const FAR: u64 = 2 * 3600 * 1000;

    /// A clock that is up to `skew` milliseconds off, for good if nobody sets it.
    pub(crate) fn new(started: Instant, skew: u64, random: &Random) -> Self {
        let at_start = random.within(Self::START - skew..=Self::START + skew);
        Self { started, at_start: AtomicU64::new(at_start) }
    }

    pub(crate) fn jump(&self, random: &Random) {
        let reach = *random.pick(&[1_000, 60_000, Self::FAR]);
        let to = random.within(Self::START - reach..=Self::START + reach);
        self.at_start.store(to, Ordering::Relaxed);
    }
}

impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        let passed = u64::try_from(self.started.elapsed().as_millis()).unwrap();
        Timestamp::from_millis(self.at_start.load(Ordering::Relaxed) + passed)
    }
}

/// Identifiers in no order: nothing may depend on one.
pub(crate) struct RandomIds(pub(crate) Random);

impl IdGenerator for RandomIds {
    fn next(&self, _now: Timestamp) -> Uuid {
        Uuid::from_u64_pair(self.0.next(), self.0.next())
    }
}
