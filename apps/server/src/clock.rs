//! The system's time, and identifiers made from it: the only place that reads a clock.

use std::time::{SystemTime, UNIX_EPOCH};

use game_realtime_application::ports::{Clock, IdGenerator};
use game_realtime_domain::Timestamp;
use uuid::{NoContext, Uuid};

/// The time of day, as the system tells it.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the Clock that everything else takes")]
    fn now(&self) -> Timestamp {
        // A system whose clock stands before 1970 is at the epoch for us.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The same as finely as the system tells it, for what is compared within a millisecond.
#[expect(clippy::disallowed_methods, reason = "this file is the only one that reads a clock")]
pub(crate) fn system_time() -> SystemTime {
    SystemTime::now()
}

/// Makes UUIDs of version 7: the millisecond, then 74 random bits. No state, so no lock.
pub(crate) struct UuidV7Generator;

impl IdGenerator for UuidV7Generator {
    fn next(&self, now: Timestamp) -> Uuid {
        let milliseconds = now.as_millis();
        // Below 10^9, so it fits.
        let nanoseconds = u32::try_from(milliseconds % 1000 * 1_000_000).unwrap_or_default();
        Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, milliseconds / 1000, nanoseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_tells_milliseconds_since_the_epoch() {
        // 2020-01-01 and 2100-01-01.
        assert!((1_577_836_800_000..4_102_444_800_000).contains(&SystemClock.now().as_millis()));
    }

    #[test]
    fn ids_are_unique_and_sort_by_the_millisecond_they_were_made_in() {
        let at = |milliseconds| UuidV7Generator.next(Timestamp::from_millis(milliseconds));
        let earlier = at(1_700_000_000_999);
        assert_eq!(earlier.get_version_num(), 7);
        assert_ne!(earlier, at(1_700_000_000_999));
        assert!(earlier < at(1_700_000_001_000));
        assert_eq!(
            u64::from_be_bytes(earlier.as_bytes()[..8].try_into().unwrap()) >> 16,
            1_700_000_000_999,
        );
    }
}
