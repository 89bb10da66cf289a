//! From when on the newest events are that have to stay whatever their age.

use std::time::Duration;

use game_realtime_application::ports::StoreError;
use game_realtime_domain::EventType;
use tokio::time::Instant;

use crate::log_reader::LogReader;

/// Events read at once.
const PAGE: usize = 1000;
/// Counting again sooner would hardly free an event more.
const COUNT_INTERVAL: Duration = Duration::from_secs(10 * 60);

pub(super) struct Kept {
    log: LogReader,
    events: usize,
    /// At least so many events as have to stay are stamped at this or later. Stays true once it is.
    from: Option<u64>,
    counted_at: Option<Instant>,
}

impl Kept {
    pub(super) fn new(log: LogReader, events: usize) -> Self {
        Self { log, events, from: None, counted_at: None }
    }

    /// The stamp from which on enough events are stored, if they are enough at all. Counts only
    /// when what is known does not reach `wanted`.
    pub(super) async fn from(&mut self, wanted: u64) -> Result<Option<u64>, StoreError> {
        let lately = self.counted_at.is_some_and(|at| at.elapsed() < COUNT_INTERVAL);
        if !lately && self.from.is_none_or(|from| from < wanted) {
            let counted = self.count().await?;
            self.from = self.from.max(counted);
            self.counted_at = Some(Instant::now());
        }
        Ok(self.from)
    }

    /// Reads back from the newest event of every type until they are enough.
    async fn count(&self) -> Result<Option<u64>, StoreError> {
        let mut types = EventType::ALL.map(|event_type| self.log.backwards(event_type));
        let mut stamps = Vec::new();
        loop {
            let Some(youngest) = types.iter_mut().max_by_key(|kind| kind.read_down_to()) else {
                return Ok(None);
            };
            // All events from here on are known.
            let complete_from = youngest.read_down_to();
            stamps.sort_unstable_by_key(|stamp| std::cmp::Reverse(*stamp));
            let enough = stamps.get(self.events.saturating_sub(1)).copied();
            if enough.is_some_and(|stamp| stamp >= complete_from) || complete_from == 0 {
                return Ok(enough);
            }
            let places = self.log.read_places(youngest, PAGE).await?;
            stamps.extend(places.into_iter().map(|(stamp, _)| stamp));
        }
    }
}
