//! Where the segments of the log begin, as far as this node knows.
//!
//! **Invariant.** An event that was committed at or after the start of a segment has a key that names
//! a revision at or after the start of the segment before: [`Writing::guards`] let no other
//! transaction happen. A start never moves; segments are forgotten from the oldest on, and with a
//! segment goes the promise that the events of its class are still there.

use std::{
    ops::RangeBounds,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use etcd_client::{Compare, CompareOp, KeyValue, PutOptions, Txn, TxnOp};
use game_realtime_domain::{PerClass, RetentionClass, Timestamp};
use tokio::time::Instant;

use crate::{
    keys::Keys,
    records::{ClassSize, SegmentRecord},
};

/// How long a segment may become: the log is pruned by segments, and read a segment at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentLimits {
    pub(crate) events: u64,
    /// Of keys and values.
    pub(crate) bytes: u64,
    /// If it, or one of the two before, holds any event: so that what is written before a quiet time
    /// can be deleted.
    pub(crate) age: Duration,
}

impl SegmentLimits {
    /// Segments of which a budget holds many, but not larger than one can be read at once.
    pub(crate) fn within(space_budget: Option<u64>) -> Self {
        let bytes = space_budget.map_or(u64::MAX, |budget| budget / 64).clamp(64 << 10, 8 << 20);
        Self { events: bytes / 512, bytes, age: Duration::from_secs(60) }
    }
}

/// A segment of a class's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) class: RetentionClass,
    pub(crate) number: u64,
    /// The revision with which it begins.
    pub(crate) start: u64,
    pub(crate) record: SegmentRecord,
}

/// The segments that this node has heard of, and the latest revision.
#[derive(Debug)]
pub(crate) struct Segments {
    pub(crate) limits: SegmentLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By number, which is the order of their starts.
    known: PerClass<Vec<Known>>,
    /// The latest revision that etcd told of.
    revision: u64,
    /// What was written since the newest segment began.
    newest: PerClass<ClassSize>,
}

/// A segment, and since when this node knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) segment: Segment,
    pub(crate) heard_at: Instant,
    /// Whether it was heard of when it began.
    pub(crate) is_live: bool,
}

/// What a transaction that appends events has to know and to prove.
#[derive(Debug, Clone)]
pub(crate) struct Writing {
    /// The revision to write events under.
    pub(crate) revision: u64,
    newest: Segment,
    /// Set when the newest segment is full: what the records of the next one say.
    next: Option<PerClass<SegmentRecord>>,
}

impl Segment {
    /// Reads a segment from its pair.
    pub(crate) fn read(keys: &Keys, pair: &KeyValue) -> Option<Self> {
        let (class, number) = pair.key_str().ok().and_then(|key| keys.parse_segment(key))?;
        let start = u64::try_from(pair.create_revision()).ok()?;
        let record = serde_json::from_slice(pair.value()).ok()?;
        Some(Self { class, number, start, record })
    }
}

impl Segments {
    pub(crate) fn new(limits: SegmentLimits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// Notes that etcd has come to a revision.
    pub(crate) fn observe(&self, revision: u64) {
        let mut state = self.lock();
        state.revision = state.revision.max(revision);
    }

    /// Notes a segment that begins, or what its record says now.
    pub(crate) fn learn(&self, segment: Segment) {
        self.lock().learn(segment, true);
    }

    /// Replaces everything by what etcd holds.
    pub(crate) fn replace(&self, stored: &[Segment], revision: u64) {
        let mut state = self.lock();
        for class in RetentionClass::ALL {
            let numbers: Vec<_> =
                stored.iter().filter(|it| it.class == class).map(|it| it.number).collect();
            let newest = numbers.last().copied().unwrap_or_default();
            // What began since is not among them.
            let is_stored = |number| numbers.binary_search(&number).is_ok() || number > newest;
            state.known.of_mut(class).retain(|known| is_stored(known.segment.number));
        }
        for segment in stored {
            state.learn(*segment, false);
        }
        state.revision = state.revision.max(revision);
    }

    /// Forgets what an etcd told that another one has replaced.
    pub(crate) fn clear(&self) {
        *self.lock() = State::default();
    }

    /// Forgets segments that are no longer stored: all of a class up to a number, or that one alone.
    pub(crate) fn forget(&self, class: RetentionClass, numbers: impl RangeBounds<u64>) {
        let mut state = self.lock();
        state.known.of_mut(class).retain(|known| !numbers.contains(&known.segment.number));
    }

    /// Notes an event that was written.
    pub(crate) fn written(&self, class: RetentionClass, bytes: usize) {
        let mut state = self.lock();
        let size = state.newest.of_mut(class);
        size.events += 1;
        size.bytes += u64::try_from(bytes).unwrap_or_default();
    }

    /// What the next transaction has to know. `None` before this node has heard of a segment.
    pub(crate) fn writing(&self, now: Timestamp) -> Option<Writing> {
        let state = self.lock();
        let newest = state.known.state.last()?;
        let PerClass { state: of_state, purchases } = state.newest;
        let events = of_state.events + purchases.events;
        let age = Duration::from_millis(
            now.as_millis().saturating_sub(newest.segment.record.begun_at.as_millis()),
        );
        let is_full = events >= self.limits.events
            || of_state.bytes + purchases.bytes >= self.limits.bytes
            || (events + state.lately() > 0
                && age.max(newest.heard_at.elapsed()) >= self.limits.age);
        let record = |before| SegmentRecord { begun_at: now, before };
        let next = PerClass { state: record(of_state), purchases: record(purchases) };
        Some(Writing {
            revision: state.revision,
            newest: newest.segment,
            next: is_full.then_some(next),
        })
    }

    /// All that are known of a class, oldest first.
    pub(crate) fn of(&self, class: RetentionClass) -> Vec<Known> {
        self.lock().known.of(class).clone()
    }

    /// Where all that are known begin, oldest first.
    pub(crate) fn starts(&self) -> Vec<u64> {
        let state = self.lock();
        let all = RetentionClass::ALL.into_iter().flat_map(|class| state.known.of(class));
        let mut starts: Vec<_> = all.map(|known| known.segment.start).collect();
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    /// The number of the newest one.
    pub(crate) fn newest_number(&self) -> Option<u64> {
        self.lock().known.state.last().map(|known| known.segment.number)
    }

    /// What was written since the newest one began.
    pub(crate) fn newest_size(&self) -> PerClass<ClassSize> {
        self.lock().newest
    }

    /// The latest revision that etcd told of.
    pub(crate) fn revision(&self) -> u64 {
        self.lock().revision
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many events the two segments before the newest hold.
    fn lately(&self) -> u64 {
        let of = |class| {
            let newest = self.known.of(class).iter().rev().take(2);
            newest.map(|known| known.segment.record.before.events).sum::<u64>()
        };
        RetentionClass::ALL.into_iter().map(of).sum()
    }

    fn learn(&mut self, segment: Segment, is_live: bool) {
        self.revision = self.revision.max(segment.start);
        let known = self.known.of_mut(segment.class);
        let place = known.partition_point(|known| known.segment.number < segment.number);
        let new = Known { segment, heard_at: Instant::now(), is_live };
        match known.get_mut(place) {
            Some(known) if known.segment.number == segment.number => known.segment = segment,
            Some(_) => known.insert(place, new),
            None => {
                known.push(new);
                *self.newest.of_mut(segment.class) = ClassSize::default();
            }
        }
    }
}

impl Writing {
    /// What has to hold at the commit: the newest segment that this node knows is still there, and is
    /// the newest or the one before.
    pub(crate) fn guards(&self, keys: &Keys) -> [Compare; 2] {
        let Segment { class, number, start, .. } = self.newest;
        let start = i64::try_from(start).unwrap_or(i64::MAX);
        [
            Compare::create_revision(keys.segment(class, number), CompareOp::Equal, start),
            Compare::create_revision(keys.segment(class, number + 2), CompareOp::Equal, 0),
        ]
    }

    /// Begins the next segment, if the newest one is full and nobody else was faster.
    pub(crate) fn begin_next(&self, keys: &Keys) -> Result<Option<TxnOp>, serde_json::Error> {
        let Some(records) = &self.next else { return Ok(None) };
        let number = self.newest.number + 1;
        let put = |class| {
            let record = serde_json::to_vec(records.of(class))?;
            Ok(TxnOp::put(keys.segment(class, number), record, None::<PutOptions>))
        };
        let puts =
            RetentionClass::ALL.into_iter().map(put).collect::<Result<Vec<_>, serde_json::Error>>();
        let key = keys.segment(self.newest.class, number);
        let absent = Compare::create_revision(key, CompareOp::Equal, 0);
        Ok(Some(TxnOp::txn(Txn::new().when([absent]).and_then(puts?))))
    }
}
