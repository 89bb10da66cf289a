//! Prunes the event log: what is older than its retention goes, little by little.
//!
//! Every node tries, none leads. The marker `pruned` says up to where events may be gone, so it
//! moves first, by compare-and-set; who finds that somebody else has moved it leaves the round to
//! them. It runs ahead of the deletions, because etcd refuses to move it once it has no room, which
//! is when pruning is needed most.

mod kept;
mod marker;
mod oldest;

use std::{sync::Arc, time::Duration};

use game_realtime_application::ports::StoreError;
use game_realtime_domain::{EventType, Position};
use tokio::time::sleep;
use tracing::{info, warn};

use self::{kept::Kept, marker::Marker, oldest::Oldest};
use crate::{cluster::Cluster, jitter::jittered, log_reader::LogReader, read_back::STAMP_SLACK};

/// Between two rounds of a node.
const PAUSE: Duration = Duration::from_secs(30);
/// Before a round that goes on where one failed or was left to somebody else.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Before the first round.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Between two deletions, so that events find their way in between.
const STEP_PAUSE: Duration = Duration::from_millis(10);
/// How far the marker runs ahead: this part of the time between replay window and retention.
const LEAD_PART: u32 = 8;
/// Events on their way at the same time may be stored in another order than they were committed in,
/// and those of one transaction, up to 500, have one stamp: two transactions' worth.
const OVERLAP: usize = 1024;

/// What has to stay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// Younger events are not deleted.
    pub(crate) age: Duration,
    /// Younger events are never said to be gone. Not longer than `age`.
    pub(crate) replay_window: Duration,
    /// So many of the newest events are neither.
    pub(crate) events: usize,
}

/// What came of a round.
#[derive(Default)]
struct Round {
    /// Events deleted.
    pruned: usize,
    /// Whether somebody else was at it.
    contested: bool,
}

pub(crate) struct Pruner {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) log: LogReader,
    pub(crate) retention: Retention,
}

impl Pruner {
    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        let mut failing = false;
        let mut kept = Kept::new(self.log.clone(), self.retention.events);
        sleep(jittered(FIRST_PAUSE)).await;
        loop {
            let pause = match self.round(&mut kept).await {
                Ok(Round { pruned, contested }) => {
                    failing = false;
                    if pruned > 0 {
                        info!(events = pruned, "events pruned");
                    }
                    if contested { RETRY_PAUSE } else { PAUSE }
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(cause = %error.source, "events not pruned, trying again");
                    }
                    RETRY_PAUSE
                }
            };
            sleep(jittered(pause)).await;
        }
    }

    /// Deletes what may go now.
    async fn round(&self, kept: &mut Kept) -> Result<Round, StoreError> {
        let now = self.log.stamps.now();
        let Retention { age, replay_window, .. } = self.retention;
        let before = |age: Duration| now.saturating_sub(milliseconds(age));
        let lead = age.saturating_sub(replay_window) / LEAD_PART;
        // Position and stamp may be out of step by the slack, and the marker is a position.
        let marked =
            before(age.saturating_sub(lead)).min(before(replay_window).saturating_sub(STAMP_SLACK));
        if self.newest_until(marked).await?.is_none() {
            return Ok(Round::default());
        }
        let Some(kept_from) = kept.from(marked).await? else { return Ok(Round::default()) };
        let may_go = kept_from.saturating_sub(STAMP_SLACK + 1);
        let mut marker = Marker::read(&self.cluster, &self.log.keys).await?;
        if let Some(until) = self.newest_until(marked.min(may_go)).await?
            && until > marker.position
            && !self.cluster.space().is_exhausted()
            && !marker.advance(until).await?
        {
            return Ok(Round { pruned: 0, contested: true });
        }
        self.delete(&marker, before(age).min(marked).min(may_go)).await
    }

    /// The highest position among the newest events of each type stamped at `stamp` or before;
    /// `None` if there is none.
    async fn newest_until(&self, stamp: u64) -> Result<Option<Position>, StoreError> {
        let mut newest = None;
        for event_type in EventType::ALL {
            let mut progress = self.log.backwards_from(event_type, stamp);
            while progress.read_down_to() > 0 {
                let places = self.log.read_places(&mut progress, OVERLAP).await?;
                if let Some(highest) = places.iter().map(|(_, position)| *position).max() {
                    newest = newest.max(Some(highest));
                    break;
                }
            }
        }
        Ok(newest)
    }

    /// Deletes what is stamped at `until` or before, as far as the marker goes.
    async fn delete(&self, marker: &Marker<'_>, until: u64) -> Result<Round, StoreError> {
        let mut oldest = Oldest::new(&self.cluster, &self.log, until);
        let mut round = Round::default();
        while let Some(some) = oldest.next().await? {
            if some.last > marker.position {
                break;
            }
            let deleted = some.delete(marker).await?;
            round.pruned += deleted;
            metrics::counter!("game_realtime_pruned_events_total")
                .increment(u64::try_from(deleted).unwrap_or_default());
            if deleted < some.events {
                round.contested = true;
                break;
            }
            sleep(jittered(STEP_PAUSE)).await;
        }
        Ok(round)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
