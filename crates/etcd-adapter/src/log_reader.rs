//! Reads the event log of one type: newest first, in bounded ranges.
//!
//! etcd visits every key of a range, however few it is asked for, so ranges have an end as well as
//! a limit: they reach back 20 ms first, then 80, then 320, and so on.

use std::sync::Arc;

use etcd_client::{GetOptions, GetResponse, KeyValue};
use game_realtime_application::{PositionedEvent, ports::StoreError};
use game_realtime_domain::{EventType, Position};

use crate::{
    cluster::{CallError, Cluster},
    keys::{EventKey, Keys},
    logical_clock::LogicalClock,
    records,
};

#[derive(Clone)]
pub(crate) struct LogReader {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) keys: Keys,
    pub(crate) stamps: Arc<LogicalClock>,
}

/// How far one type's events have been read, from the newest on.
pub(crate) struct Backwards {
    event_type: EventType,
    /// The next range begins at this key...
    from: Vec<u8>,
    /// ...and ends with this stamp; `None` if nothing comes after the last range.
    until: Option<u64>,
    /// How far the range after that reaches, in milliseconds.
    reach: u64,
    read_down_to: u64,
}

/// How far the first range reaches behind the newest event known, in milliseconds.
const FIRST_REACH: u64 = 20;
/// How much further each range reaches than the one before.
const REACH_GROWTH: u64 = 4;
/// A range that would reach further than this goes to the end of the log: three days.
const LONGEST_REACH: u64 = 3 * 24 * 3600 * 1000;

#[derive(Debug, thiserror::Error)]
#[error("stored event has an unreadable key")]
struct UnreadableKey;

impl LogReader {
    /// Begins at the newest event of a type.
    pub(crate) fn backwards(&self, event_type: EventType) -> Backwards {
        let from = self.keys.events_of(event_type).into_bytes();
        Backwards::new(event_type, from, self.stamps.newest())
    }

    /// Begins at the newest event of a type that is stamped at `stamp` or before.
    pub(crate) fn backwards_from(&self, event_type: EventType, stamp: u64) -> Backwards {
        Backwards::new(event_type, self.keys.events_until(event_type, stamp), stamp)
    }

    /// Reads the next range, at most `limit` events with their stamps, as they were at a revision.
    pub(crate) async fn read(
        &self,
        progress: &mut Backwards,
        limit: usize,
        at: Option<u64>,
    ) -> Result<Vec<(u64, PositionedEvent)>, StoreError> {
        let response = self.range(progress, limit, at, GetOptions::new()).await?;
        let events = response
            .kvs()
            .iter()
            .map(|pair| self.event(pair))
            .collect::<Result<Vec<_>, StoreError>>()?;
        progress.advance(&self.keys, &response, events.last().map(|(oldest, _)| *oldest));
        Ok(events)
    }

    /// As [`read`](Self::read), but only stamps and positions.
    pub(crate) async fn read_places(
        &self,
        progress: &mut Backwards,
        limit: usize,
    ) -> Result<Vec<(u64, Position)>, StoreError> {
        let response =
            self.range(progress, limit, None, GetOptions::new().with_keys_only()).await?;
        let places = response
            .kvs()
            .iter()
            .map(|pair| self.place(pair))
            .collect::<Result<Vec<_>, StoreError>>()?;
        progress.advance(&self.keys, &response, places.last().map(|(oldest, _)| *oldest));
        Ok(places)
    }

    async fn range(
        &self,
        progress: &Backwards,
        limit: usize,
        at: Option<u64>,
        options: GetOptions,
    ) -> Result<GetResponse, CallError> {
        let end = match progress.until {
            Some(stamp) => self.keys.events_until(progress.event_type, stamp),
            None => self.keys.events_end(progress.event_type),
        };
        let mut options =
            options.with_range(end).with_limit(i64::try_from(limit.max(1)).unwrap_or(i64::MAX));
        if let Some(at) = at.and_then(|at| i64::try_from(at).ok()) {
            options = options.with_revision(at);
        }
        let from = progress.from.clone();
        self.cluster.kv(|mut kv| async move { kv.get(from, Some(options)).await }).await
    }

    /// The stamp and the position of an event, by its key.
    pub(crate) fn place(&self, pair: &KeyValue) -> Result<(u64, Position), StoreError> {
        let key = self.key(pair)?;
        let revision = u64::try_from(pair.mod_revision()).unwrap_or_default();
        Ok((key.stamp, Position::new(revision, u32::from(key.index))))
    }

    fn key(&self, pair: &KeyValue) -> Result<EventKey, StoreError> {
        let key = pair.key_str().ok().and_then(|key| self.keys.parse_event(key));
        key.ok_or_else(|| StoreError::corrupt(UnreadableKey))
    }

    /// Decodes an event and its stamp.
    pub(crate) fn event(&self, pair: &KeyValue) -> Result<(u64, PositionedEvent), StoreError> {
        let key = self.key(pair)?;
        let stamp = key.stamp;
        self.stamps.observe(stamp);
        let revision = u64::try_from(pair.mod_revision()).unwrap_or_default();
        let event =
            records::decode_event(key, revision, pair.value()).map_err(StoreError::corrupt)?;
        Ok((stamp, event))
    }

    /// The position up to which the log may have been pruned, as it was at a revision.
    pub(crate) async fn pruned(&self, at: u64) -> Result<Position, StoreError> {
        let key = self.keys.pruned();
        let options = GetOptions::new().with_revision(i64::try_from(at).unwrap_or_default());
        let response =
            self.cluster.kv(|mut kv| async move { kv.get(key, Some(options)).await }).await?;
        match response.kvs().first() {
            None => Ok(Position::START),
            Some(pair) => serde_json::from_slice(pair.value()).map_err(StoreError::corrupt),
        }
    }
}

impl Backwards {
    fn new(event_type: EventType, from: Vec<u8>, newest: u64) -> Self {
        Self {
            event_type,
            from,
            until: Some(newest.saturating_sub(FIRST_REACH)),
            reach: FIRST_REACH * REACH_GROWTH,
            read_down_to: u64::MAX,
        }
    }

    /// Everything with a later stamp has been read; 0 when everything has.
    pub(crate) fn read_down_to(&self) -> u64 {
        self.read_down_to
    }

    /// Moves on behind what was read.
    fn advance(&mut self, keys: &Keys, response: &GetResponse, oldest: Option<u64>) {
        match (response.kvs().last().filter(|_| response.more()), oldest) {
            (Some(pair), Some(oldest)) => {
                self.from = [pair.key(), &[0]].concat();
                self.read_down_to = oldest;
            }
            _ => self.range_is_read(keys),
        }
    }

    /// Moves on to the range before.
    fn range_is_read(&mut self, keys: &Keys) {
        let Some(until) = self.until else {
            self.read_down_to = 0;
            return;
        };
        self.read_down_to = until;
        self.from = keys.events_until(self.event_type, until);
        self.until = (self.reach <= LONGEST_REACH).then(|| until.saturating_sub(self.reach));
        self.reach = self.reach.saturating_mul(REACH_GROWTH);
    }
}
