//! Whether etcd has room. Once its quota is used up it raises an alarm and takes nothing more until
//! an operator has made room; reads, plain deletions and the renewal of leases go on.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tracing::{error, info};

/// The longest time for which a transaction is held back.
const LONGEST_DELAY: Duration = Duration::from_millis(500);

/// What is known of it.
#[derive(Default)]
pub(crate) struct Space {
    exhausted: AtomicBool,
    /// How long transactions that append events are held back, in milliseconds.
    delay: AtomicU64,
}

impl Space {
    /// Shows that there is room, until etcd says otherwise.
    pub(crate) fn publish(&self) {
        metrics::gauge!("game_realtime_store_nospace")
            .set(f64::from(u8::from(self.is_exhausted())));
    }

    /// Notes how much etcd holds, and its budget if there is one. Once it holds a quarter more than the
    /// budget, more is written than can be pruned and compacted: writers slow down, the more the further
    /// it is over, long before etcd's quota (twice the budget) is used up.
    pub(crate) fn holds(&self, in_use: u64, budget: Option<u64>) {
        let quarter = budget.unwrap_or(u64::MAX) / 4;
        let over = in_use.saturating_sub(quarter.saturating_mul(5));
        let longest = u64::try_from(LONGEST_DELAY.as_millis()).unwrap_or_default();
        let delay = longest.saturating_mul(over).checked_div(quarter).unwrap_or_default();
        self.delay.store(delay.min(longest), Ordering::Relaxed);
    }

    /// How long a transaction that appends events is to be held back.
    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay.load(Ordering::Relaxed))
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Acquire)
    }

    /// Notes that etcd refused a write for want of room. Said once, however often it refuses.
    pub(crate) fn refused(&self) {
        if !self.exhausted.swap(true, Ordering::AcqRel) {
            self.publish();
            error!(
                "etcd's space quota is used up, events are refused: delete or prune keys, then \
                 `etcdctl compact`, `etcdctl defrag` and `etcdctl alarm disarm`"
            );
        }
    }

    /// Notes that etcd took a write.
    pub(crate) fn accepted(&self) {
        if self.exhausted.swap(false, Ordering::AcqRel) {
            self.publish();
            info!("etcd has room again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_slow_down_the_more_the_further_etcd_is_over_its_budget() {
        let space = Space::default();
        let delay = |in_use| {
            space.holds(in_use, Some(1000));
            space.delay()
        };
        assert_eq!(delay(1250), Duration::ZERO);
        assert_eq!(delay(1300), LONGEST_DELAY / 5);
        assert_eq!(delay(1500), LONGEST_DELAY);
        assert_eq!(delay(9000), LONGEST_DELAY);
        assert_eq!(delay(1000), Duration::ZERO);
        for budget in [None, Some(u64::MAX), Some(0)] {
            space.holds(u64::MAX / 2, budget);
            assert_eq!(space.delay(), Duration::ZERO, "{budget:?}");
        }
    }
}
