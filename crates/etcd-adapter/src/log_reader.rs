//! Reads the event log of one type: newest first, in bounded ranges.
//!
//! etcd visits every key of a range, however few it is asked for, so ranges have an end as well as
//! a limit: they reach back 20 ms first, then 80, then 320, and so on.

use std::sync::Arc;

use etcd_client::{GetOptions, KeyValue};
use game_realtime_application::{PositionedEvent, ports::StoreError};
use game_realtime_domain::{EventType, Position};

use crate::{cluster::Cluster, keys::Keys, logical_clock::LogicalClock, records};

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
        Backwards {
            event_type,
            from: self.keys.events_of(event_type).into_bytes(),
            until: Some(self.stamps.newest().saturating_sub(FIRST_REACH)),
            reach: FIRST_REACH * REACH_GROWTH,
            read_down_to: u64::MAX,
        }
    }

    /// Reads the next range, at most `limit` events with their stamps, as they were at a revision.
    pub(crate) async fn read(
        &self,
        progress: &mut Backwards,
        limit: usize,
        at: Option<u64>,
    ) -> Result<Vec<(u64, PositionedEvent)>, StoreError> {
        let end = match progress.until {
            Some(stamp) => self.keys.events_until(progress.event_type, stamp),
            None => self.keys.events_end(progress.event_type),
        };
        let mut options = GetOptions::new()
            .with_range(end)
            .with_limit(i64::try_from(limit.max(1)).unwrap_or(i64::MAX));
        if let Some(at) = at.and_then(|at| i64::try_from(at).ok()) {
            options = options.with_revision(at);
        }
        let from = progress.from.clone();
        let response =
            self.cluster.kv(|mut kv| async move { kv.get(from, Some(options)).await }).await?;
        let events = response
            .kvs()
            .iter()
            .map(|pair| self.event(pair))
            .collect::<Result<Vec<_>, StoreError>>()?;
        match (response.kvs().last().filter(|_| response.more()), events.last()) {
            (Some(pair), Some((oldest, _))) => {
                progress.from = [pair.key(), &[0]].concat();
                progress.read_down_to = *oldest;
            }
            _ => progress.range_is_read(&self.keys),
        }
        Ok(events)
    }

    /// Decodes an event and its stamp.
    pub(crate) fn event(&self, pair: &KeyValue) -> Result<(u64, PositionedEvent), StoreError> {
        let key = pair
            .key_str()
            .ok()
            .and_then(|key| self.keys.parse_event(key))
            .ok_or_else(|| StoreError::corrupt(UnreadableKey))?;
        let stamp = key.stamp;
        self.stamps.observe(stamp);
        let revision = u64::try_from(pair.mod_revision()).unwrap_or_default();
        let event =
            records::decode_event(key, revision, pair.value()).map_err(StoreError::corrupt)?;
        Ok((stamp, event))
    }

    /// The position up to which the log may be pruned.
    pub(crate) async fn pruned(&self) -> Result<Position, StoreError> {
        let key = self.keys.pruned();
        let response = self.cluster.kv(|mut kv| async move { kv.get(key, None).await }).await?;
        match response.kvs().first() {
            None => Ok(Position::START),
            Some(pair) => serde_json::from_slice(pair.value()).map_err(StoreError::corrupt),
        }
    }
}

impl Backwards {
    /// Everything with a later stamp has been read; 0 when everything has.
    pub(crate) fn read_down_to(&self) -> u64 {
        self.read_down_to
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
