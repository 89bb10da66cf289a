//! Which segments of a class's log may go: pure decisions.

use std::time::Duration;

use game_realtime_domain::Timestamp;

use crate::{
    log::segments::{Known, Segment},
    records::{ClassSize, SegmentRecord},
};

/// The newest segments stay, whatever their age and size: writers name them.
const KEPT: usize = 2;
/// A stamp that is further ahead of this node's clock than this is not believed.
const TRUSTED_AHEAD: Duration = Duration::from_secs(5);
/// What an event takes in etcd's file beside its key and value: revision, versions, and the headers of
/// page and element.
const EVENT_OVERHEAD: u64 = 70;
/// What a deleted event takes until the history is compacted, beside its key.
const TOMBSTONE: u64 = 60;

/// A segment and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) number: u64,
    pub(super) start: u64,
    pub(super) size: ClassSize,
    /// How old everything before it is at least.
    age: Duration,
}

/// The segments of a class, oldest first, with what each holds. `newest` is what the newest one does.
///
/// Stamps are believed as far as order and this node's own experience bear them out: one from the
/// future counts as that of the next segment, one that goes back as that of the segment before, and
/// what began before this node's eyes is no older than that.
pub(super) fn held(known: &[Known], newest: ClassSize, now: Timestamp) -> Vec<Held> {
    let latest = now.plus(TRUSTED_AHEAD);
    let mut next = now;
    let mut begun: Vec<_> = known
        .iter()
        .rev()
        .map(|known| {
            let stamp = known.segment.record.begun_at;
            next = if stamp <= latest { stamp } else { next };
            next
        })
        .collect();
    begun.reverse();
    let mut before = Timestamp::from_millis(0);
    let sizes = known.iter().skip(1).map(|known| known.segment.record.before).chain([newest]);
    known
        .iter()
        .zip(begun)
        .zip(sizes)
        .map(|((known, begun), size)| {
            before = before.max(begun);
            let stamped = now.as_millis().saturating_sub(before.as_millis());
            let stamped = Duration::from_millis(stamped);
            let seen = if known.is_live { known.heard_at.elapsed() } else { Duration::MAX };
            Held {
                number: known.segment.number,
                start: known.segment.start,
                size,
                age: stamped.min(seen),
            }
        })
        .collect()
}

/// How many of the oldest segments hold nothing younger than `retention`.
pub(super) fn expired(held: &[Held], retention: Duration) -> usize {
    held.iter().rposition(|held| held.age >= retention).unwrap_or_default().min(spare(held))
}

/// How many of the oldest segments have to go so that at least `bytes` become free, or all that may.
pub(super) fn filling(held: &[Held], bytes: u64) -> usize {
    let mut freed = 0;
    let enough = held.iter().position(|held| {
        let is_enough = freed >= bytes;
        freed += stored(held.size);
        is_enough
    });
    enough.unwrap_or(held.len()).min(spare(held))
}

/// How many of the oldest segments may go at all.
pub(super) fn spare(held: &[Held]) -> usize {
    held.len().saturating_sub(KEPT)
}

/// How many of the oldest segments may go so that at least `events` are left from there on, of this
/// class and `others`.
pub(super) fn leaving(held: &[Held], others: &[Held], events: u64) -> usize {
    let since = |start| {
        let of = |all: &[Held]| -> u64 {
            all.iter().filter(|held| held.start >= start).map(|held| held.size.events).sum()
        };
        of(held) + of(others)
    };
    held.iter().rposition(|held| since(held.start) >= events).unwrap_or_default()
}

/// What events take in etcd's file, in bytes: its pages are nine tenths full.
pub(super) fn stored(size: ClassSize) -> u64 {
    (size.bytes + size.events * EVENT_OVERHEAD) / 9 * 10
}

/// What events that were deleted take until the history is compacted.
pub(super) fn garbage(size: ClassSize) -> u64 {
    stored(size) + size.events * (TOMBSTONE + EVENT_OVERHEAD)
}

/// What the record of `next` says once the segments that `first` and `second` begin are one; `None` if
/// they should stay apart, because they hold more than `most` events or span more than `longest`.
pub(super) fn joined(
    first: &Segment,
    second: &Segment,
    next: &Segment,
    most: u64,
    longest: Duration,
) -> Option<SegmentRecord> {
    let begun = |of: &Segment| of.record.begun_at.as_millis();
    let span = Duration::from_millis(begun(next).saturating_sub(begun(first)));
    let before = ClassSize {
        events: second.record.before.events + next.record.before.events,
        bytes: second.record.before.bytes + next.record.before.bytes,
    };
    (before.events <= most && span <= longest).then_some(SegmentRecord { before, ..next.record })
}

#[cfg(test)]
mod tests {
    use game_realtime_domain::RetentionClass;
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    /// Segments that a node found when it started, with how many minutes ago they began by their stamps
    /// and how many events each holds.
    fn found(segments: &[(i64, u64)]) -> Vec<Held> {
        let known: Vec<_> = (1..)
            .zip(segments)
            .map(|(number, (minutes, _))| {
                let begun = NOW.as_millis().saturating_add_signed(-minutes * 60_000);
                let before = match usize::try_from(number).unwrap() {
                    1 => ClassSize::default(),
                    number => size(segments[number - 2].1),
                };
                Known {
                    segment: Segment {
                        class: RetentionClass::State,
                        number,
                        start: number * 100,
                        record: SegmentRecord { begun_at: Timestamp::from_millis(begun), before },
                    },
                    heard_at: Instant::now(),
                    is_live: false,
                }
            })
            .collect();
        held(&known, size(segments.last().unwrap().1), NOW)
    }

    fn size(events: u64) -> ClassSize {
        ClassSize { events, bytes: events * 250 }
    }

    #[test]
    fn a_segment_is_as_old_as_the_start_of_the_next_one() {
        let held = found(&[(90, 10), (70, 10), (50, 10), (30, 10), (10, 10)]);
        assert_eq!(expired(&held, 60 * MINUTE), 1);
        assert_eq!(expired(&held, 50 * MINUTE), 2);
        assert_eq!(expired(&held, 100 * MINUTE), 0);
        assert_eq!(expired(&held, Duration::ZERO), 3, "the newest two stay");
    }

    #[test]
    fn a_stamp_from_the_future_stops_nothing() {
        let far = -60 * 24 * 365 * 73;
        let held = found(&[(90, 10), (far, 10), (70, 10), (50, 10), (30, 10), (10, 10)]);
        assert_eq!(expired(&held, 60 * MINUTE), 2);
        assert_eq!(found(&[(far, 10); 4])[3].age, Duration::ZERO, "nobody knows better");
    }

    #[test]
    fn a_clock_that_goes_back_makes_nothing_older() {
        let held = found(&[(90, 10), (20, 10), (5000, 10), (19, 10), (18, 10), (10, 10)]);
        assert_eq!(expired(&held, 60 * MINUTE), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_began_before_this_nodes_eyes_is_no_older_than_that() {
        let segment = |number: u64| Known {
            segment: Segment {
                class: RetentionClass::State,
                number,
                start: number,
                record: SegmentRecord {
                    begun_at: Timestamp::from_millis(0),
                    before: ClassSize::default(),
                },
            },
            heard_at: Instant::now(),
            is_live: true,
        };
        let known: Vec<_> = (1..6).map(segment).collect();
        tokio::time::advance(10 * MINUTE).await;
        let held = held(&known, ClassSize::default(), NOW);
        assert_eq!(expired(&held, 11 * MINUTE), 0);
        assert_eq!(expired(&held, 10 * MINUTE), 3);
    }

    #[test]
    fn the_newest_events_of_all_classes_are_left() {
        let own = found(&[(9, 50), (8, 50), (7, 50), (6, 50)]);
        let others = found(&[(9, 5), (8, 5), (7, 5), (6, 5)]);
        assert_eq!(leaving(&own, &others, 0), 3);
        assert_eq!(leaving(&own, &others, 55), 3);
        assert_eq!(leaving(&own, &others, 56), 2);
        assert_eq!(leaving(&own, &others, 1000), 0);
    }

    proptest! {
        #[test]
        fn what_goes_for_want_of_space_is_enough_and_no_more(
            events in proptest::collection::vec(0..20_000_u64, 3..50), bytes: u32,
        ) {
            let segments: Vec<_> = events.iter().map(|events| (10, *events)).collect();
            let held = found(&segments);
            let bytes = u64::from(bytes) % 50_000_000;
            let dropped = filling(&held, bytes);
            let freed = |count: usize| held[..count].iter().map(|it| stored(it.size)).sum::<u64>();
            prop_assert!(dropped <= spare(&held));
            prop_assert!(dropped == spare(&held) || freed(dropped) >= bytes);
            prop_assert!(dropped == 0 || freed(dropped - 1) < bytes);
        }
    }

    #[test]
    fn segments_are_joined_as_long_as_they_are_small_and_short() {
        let segment = |number, minutes: u64, before| Segment {
            class: RetentionClass::Purchases,
            number,
            start: number,
            record: SegmentRecord {
                begun_at: Timestamp::from_millis(NOW.as_millis() - minutes * 60_000),
                before: size(before),
            },
        };
        let (first, second, next) = (segment(1, 30, 7), segment(2, 20, 40), segment(3, 10, 2));
        let record = joined(&first, &second, &next, 42, 20 * MINUTE).unwrap();
        assert_eq!(record, SegmentRecord { before: size(42), ..next.record });
        assert_eq!(joined(&first, &second, &next, 41, 20 * MINUTE), None);
        assert_eq!(joined(&first, &second, &next, 42, 19 * MINUTE), None);
    }
}
