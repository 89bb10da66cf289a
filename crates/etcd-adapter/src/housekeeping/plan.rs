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
