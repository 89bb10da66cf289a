//! Whether the clocks of the nodes agree, as far as the stamps of their events tell. Nothing depends on
//! it: it is for the operator, who can mend a clock.

use std::time::Duration;

use game_realtime_domain::Timestamp;
use tokio::time::Instant;

/// A stamp further in this node's future than this is from a clock that runs ahead of it.
const FUTURE_MS: i64 = 5_000;
/// A stamp older than this when a live feed brings it is from a clock that runs behind: an event is
/// answered within the store's request timeout, seconds after its stamp, or not committed.
const PAST_MS: i64 = 30_000;
/// After an interruption the feed brings what was missed, which may be old.
const SETTLING: Duration = Duration::from_secs(60);
/// A feed that was silent for longer than this was interrupted.
const SILENCE: Duration = Duration::from_secs(5);
/// Clocks agree again once no stamp has said otherwise for this long.
const RECENT: Duration = Duration::from_secs(300);

/// Compares the stamps of events with this node's clock.
pub(super) struct ClockSkew {
    last_contact: Instant,
    interrupted_at: Instant,
    disagreement: Option<Disagreement>,
}

struct Disagreement {
    /// The largest of late, and when it was seen.
    worst_ms: i64,
    worst_at: Instant,
    /// When any was seen.
    last_at: Instant,
}

/// What has become of the agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A stamp was this far off; negative if it was in the past.
    Began {
        milliseconds: i64,
    },
    Ended,
}

impl ClockSkew {
    /// Nothing is known yet.
    pub(super) fn new(at: Instant) -> Self {
        Self { last_contact: at, interrupted_at: at, disagreement: None }
    }

    /// The feed begins anew: what it brings now may be old.
    pub(super) fn interrupted(&mut self, at: Instant) {
        self.last_contact = at;
        self.interrupted_at = at;
    }

    /// The feed brought events with these stamps, perhaps none, when this node's clock was at `now`.
    pub(super) fn compare(
        &mut self,
        stamps: impl Iterator<Item = Timestamp>,
        now: Timestamp,
        at: Instant,
    ) -> Option<Change> {
        if at - self.last_contact > SILENCE {
            self.interrupted_at = at;
        }
        self.last_contact = at;
        let settled = at - self.interrupted_at > SETTLING;
        let off = stamps.map(|stamp| difference(stamp, now));
        let off = off.filter(|off| *off > FUTURE_MS || (settled && *off < -PAST_MS));
        match (off.max_by_key(|off| off.abs()), &mut self.disagreement) {
            (Some(off), None) => {
                let seen = Disagreement { worst_ms: off, worst_at: at, last_at: at };
                self.disagreement = Some(seen);
                Some(Change::Began { milliseconds: off })
            }
            (Some(off), Some(seen)) => {
                seen.last_at = at;
                if off.abs() >= seen.worst_ms.abs() || at - seen.worst_at > RECENT {
                    (seen.worst_ms, seen.worst_at) = (off, at);
                }
                None
            }
            (None, Some(seen)) if at - seen.last_at > RECENT => {
                self.disagreement = None;
                Some(Change::Ended)
            }
            (None, Some(_) | None) => None,
        }
    }

    /// The largest recent disagreement, in milliseconds: positive if another clock runs ahead of this
    /// node's, negative if it runs behind, 0 if the clocks agree.
    pub(super) fn milliseconds(&self) -> i64 {
        self.disagreement.as_ref().map_or(0, |seen| seen.worst_ms)
    }
}

/// How far a stamp lies in the future of `now`, in milliseconds.
fn difference(stamp: Timestamp, now: Timestamp) -> i64 {
    let milliseconds = |from: Timestamp, to: Timestamp| {
        i64::try_from(to.as_millis().saturating_sub(from.as_millis())).unwrap_or(i64::MAX)
    };
    if stamp > now { milliseconds(now, stamp) } else { -milliseconds(stamp, now) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_800_000_000_000;

    /// The clocks of a node whose feed says something every second.
    struct Scene {
        skew: ClockSkew,
        start: Instant,
        at: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let start = Instant::now();
            Self { skew: ClockSkew::new(start), start, at: start }
        }

        /// `seconds` pass in silence, then an event comes that is stamped `off` milliseconds later.
        fn event(&mut self, seconds: u64, off: i64) -> Option<Change> {
            self.at += Duration::from_secs(seconds);
            let passed = i64::try_from((self.at - self.start).as_millis()).unwrap();
            let stamp =
                |off: i64| Timestamp::from_millis(u64::try_from(NOON + passed + off).unwrap());
            self.skew.compare([stamp(off)].into_iter(), stamp(0), self.at)
        }

        /// The feed is alive, and brings nothing.
        fn quiet(&mut self, seconds: u64) -> Option<Change> {
            (0..seconds).find_map(|_| {
                self.at += Duration::from_secs(1);
                self.skew.compare([].into_iter(), Timestamp::from_millis(0), self.at)
            })
        }
    }

    #[test]
    fn a_stamp_from_the_future_is_told_at_once_and_once() {
        let mut scene = Scene::new();
        assert_eq!(scene.event(1, 5_000), None);
        assert_eq!(scene.event(1, 5_001), Some(Change::Began { milliseconds: 5_001 }));
        assert_eq!(scene.event(1, 9_000), None);
        assert_eq!(scene.event(1, 6_000), None);
        assert_eq!(scene.skew.milliseconds(), 9_000, "the largest");
    }

    #[test]
    fn old_events_tell_nothing_of_clocks_while_the_feed_catches_up() {
        let mut scene = Scene::new();
        assert_eq!(scene.event(1, -3_600_000), None, "it has just begun");
        assert_eq!(scene.quiet(120), None);
        assert_eq!(scene.event(1, -29_000), None, "a slow commit");
        assert_eq!(scene.event(6, -3_600_000), None, "the feed was broken");
        assert_eq!(scene.event(1, -3_600_000), None);
        assert_eq!(scene.quiet(61), None);
        let began = scene.event(1, -60_000);
        assert_eq!(began, Some(Change::Began { milliseconds: -60_000 }));
        assert_eq!(scene.skew.milliseconds(), -60_000);
        scene.skew.interrupted(scene.at);
        let mut scene = Scene { skew: ClockSkew { disagreement: None, ..scene.skew }, ..scene };
        assert_eq!(scene.event(1, -60_000), None, "it was told to begin anew");
    }

    #[test]
    fn clocks_that_agree_again_are_told_of_after_a_while() {
        let mut scene = Scene::new();
        scene.event(1, 60_000);
        assert_eq!(scene.quiet(299), None);
        assert_eq!(scene.event(1, 10_000), None);
        assert_eq!(scene.quiet(300), None);
        assert_eq!(scene.quiet(1), Some(Change::Ended));
        assert_eq!(scene.skew.milliseconds(), 0);
        scene.event(1, 60_000);
        assert_eq!((scene.quiet(299), scene.event(1, 10_000)), (None, None));
        assert_eq!((scene.quiet(299), scene.event(1, 10_000)), (None, None));
        assert_eq!(scene.skew.milliseconds(), 10_000, "the large one was long ago");
    }
}
