//! Reads events of the log: newest first, in bounded ranges.
//!
//! etcd visits every key of a range, however few it is asked for. So a range never reaches further
//! than one segment where it has a limit, and answers are bounded in bytes.

use std::sync::Arc;

use etcd_client::{GetOptions, KeyValue};
use game_realtime_application::{PositionedEvent, ports::StoreError};
use game_realtime_domain::{EventType, Position, RetentionClass};

use super::{
    segments::{Segment, Segments},
    unreadable::Unreadable,
};
use crate::{
    cluster::{CallError, Cluster},
    epoch::revision,
    keys::Keys,
    records::{self, UnreadableRecord},
};

#[derive(Clone)]
pub(crate) struct LogReader {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) keys: Keys,
    pub(crate) segments: Arc<Segments>,
    pub(crate) unreadable: Arc<Unreadable>,
}

/// A stretch of the log by what writers knew: `from` or later, and before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
}

/// A stored event, or what can be told of it if it cannot be read.
pub(crate) enum Entry {
    Event(PositionedEvent),
    Unreadable(Position),
}

/// Events of one type in one stretch that are not read yet.
pub(crate) struct Cursor {
    /// The next range begins at this key.
    from: Vec<u8>,
    end: Vec<u8>,
    /// How many events the next range may return.
    limit: i64,
    is_done: bool,
}

/// Bytes that a range is meant to return.
const RANGE_BYTES: usize = 2 << 20;
/// Events that a range returns at most, and the first one.
const LARGEST_RANGE: i64 = 4096;
const FIRST_RANGE: i64 = 512;

impl LogReader {
    /// Asks etcd where the segments begin.
    pub(crate) async fn load_segments(&self) -> Result<(), StoreError> {
        let from = self.keys.all_segments();
        let options = GetOptions::new().with_prefix();
        let response =
            self.cluster.kv(|mut kv| async move { kv.get(from, Some(options)).await }).await?;
        let segments: Vec<_> =
            response.kvs().iter().filter_map(|pair| Segment::read(&self.keys, pair)).collect();
        let revision = revision(response.header());
        self.segments.replace(&segments, revision);
        Ok(())
    }

    /// The stretches of the log, newest first.
    pub(crate) async fn stretches(&self) -> Result<Vec<Stretch>, StoreError> {
        if self.segments.starts().is_empty() {
            self.load_segments().await?;
        }
        Ok(newest_first(self.segments.starts()))
    }

    /// Begins with the newest event of a type in a stretch.
    pub(crate) fn newest(&self, event_type: EventType, stretch: Stretch) -> Cursor {
        let from = match stretch.to {
            Some(to) => self.keys.events_before(event_type, to),
            None => self.keys.events_of(event_type).into_bytes(),
        };
        let end = self.keys.events_before(event_type, stretch.from);
        Cursor { from, end, limit: FIRST_RANGE, is_done: false }
    }

    /// Reads the next range, at most `limit` events. Empty once everything is read.
    pub(crate) async fn read(
        &self,
        cursor: &mut Cursor,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let pairs = self.read_pairs(cursor, limit).await?;
        Ok(pairs.iter().map(|pair| self.entry(pair)).collect())
    }

    /// As [`read`](Self::read), without decoding what is read.
    pub(crate) async fn read_pairs(
        &self,
        cursor: &mut Cursor,
        limit: usize,
    ) -> Result<Vec<KeyValue>, CallError> {
        if cursor.is_done {
            return Ok(Vec::new());
        }
        let limit = cursor.limit.min(i64::try_from(limit).unwrap_or(i64::MAX)).max(1);
        let options = GetOptions::new().with_range(cursor.end.clone()).with_limit(limit);
        let from = cursor.from.clone();
        let mut response =
            self.cluster.kv(|mut kv| async move { kv.get(from, Some(options)).await }).await?;
        let pairs = response.take_kvs();
        match pairs.last().filter(|_| response.more()) {
            Some(last) => cursor.from = [last.key(), &[0]].concat(),
            None => cursor.is_done = true,
        }
        let bytes: usize = pairs.iter().map(|pair| pair.key().len() + pair.value().len()).sum();
        let each = bytes / pairs.len().max(1);
        let fitting = i64::try_from(RANGE_BYTES / each.max(1)).unwrap_or(i64::MAX);
        cursor.limit = fitting.clamp(1, LARGEST_RANGE);
        Ok(pairs)
    }

    /// Decodes an event.
    pub(crate) fn entry(&self, pair: &KeyValue) -> Entry {
        let revision = u64::try_from(pair.mod_revision()).unwrap_or_default();
        let key = pair.key_str().ok();
        let event = match key.and_then(|key| self.keys.parse_event(key)) {
            Some(key) => records::decode_event(key, revision, pair.value()),
            None => Err(UnreadableRecord { what: "event key", source: None }),
        };
        match event {
            Ok(event) => Entry::Event(event),
            Err(unreadable) => {
                let place = key.and_then(|key| self.keys.parse_place(key)).unwrap_or_default();
                let position = Position::new(revision, u32::from(place));
                self.unreadable.note(position, &unreadable);
                Entry::Unreadable(position)
            }
        }
    }

    /// Whether etcd no longer has the history from a revision on.
    pub(crate) async fn is_compacted(&self, revision: u64) -> Result<bool, CallError> {
        let options =
            GetOptions::new().with_revision(i64::try_from(revision.max(1)).unwrap_or(i64::MAX));
        let key = self.keys.store();
        match self.cluster.kv(|mut kv| async move { kv.get(key, Some(options)).await }).await {
            Ok(_) => Ok(false),
            Err(error) if error.is_compacted() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The position up to which events may have been pruned, of whatever class.
    pub(crate) async fn pruned(&self) -> Result<Position, StoreError> {
        let mut pruned = Position::START;
        for class in RetentionClass::ALL {
            let from = self.keys.segments(class);
            let options = GetOptions::new().with_prefix().with_limit(1);
            let response =
                self.cluster.kv(|mut kv| async move { kv.get(from, Some(options)).await }).await?;
            let oldest = response.kvs().first().map(KeyValue::create_revision);
            let start = oldest.and_then(|start| u64::try_from(start).ok()).unwrap_or_default();
            pruned = pruned.max(Position::new(start, 0));
        }
        Ok(pruned)
    }
}

impl Entry {
    pub(crate) fn position(&self) -> Position {
        match self {
            Self::Event(event) => event.position,
            Self::Unreadable(position) => *position,
        }
    }

    pub(crate) fn event(self) -> Option<PositionedEvent> {
        match self {
            Self::Event(event) => Some(event),
            Self::Unreadable(_) => None,
        }
    }
}

/// The stretches between starts of segments, newest first. Together they are the whole log.
///
/// Once one and all newer ones are read, everything that was committed at or after its end is known.
fn newest_first(starts: Vec<u64>) -> Vec<Stretch> {
    let mut stretches = Vec::with_capacity(starts.len() + 1);
    let mut to = None;
    for from in starts.into_iter().rev().chain([0]) {
        stretches.push(Stretch { from, to });
        to = Some(from);
    }
    stretches
}
