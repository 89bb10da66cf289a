//! An open watch, read as events in order.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use etcd_client::{EventType as Change, WatchResponse, WatchStream};
use game_realtime_application::{
    PositionedEvent,
    ports::{FeedStream, FeedUpdate, FollowError, StoreError},
};
use game_realtime_domain::Position;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};
use tracing::error;

use crate::{cluster::Member, log_reader::LogReader};

/// How often etcd is asked for a sign of life.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// A watch that is silent for so long is broken: etcd does not say when it has lost its leader or
/// we have lost etcd.
const SILENCE: Duration = Duration::from_secs(2);

pub(crate) struct EtcdFeedStream {
    watch: WatchStream,
    member: Arc<Member>,
    log: LogReader,
    head: Position,
    /// Read from the log, to be handed out before what the watch says.
    backlog: Vec<PositionedEvent>,
    progress: Interval,
    heard_at: Instant,
}

#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("watch was canceled: {0}")]
    Canceled(String),
    #[error("watch ended")]
    Ended,
    #[error("watch is silent")]
    Silent,
}

impl EtcdFeedStream {
    pub(crate) fn new(
        watch: WatchStream,
        member: Arc<Member>,
        log: LogReader,
        head: Position,
        backlog: Vec<PositionedEvent>,
    ) -> Self {
        let mut progress = interval(PROGRESS_INTERVAL);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { watch, member, log, head, backlog, progress, heard_at: Instant::now() }
    }

    fn update(&mut self, events: Vec<PositionedEvent>) -> FeedUpdate {
        if let Some(last) = events.last() {
            self.head = last.position;
        }
        FeedUpdate { events, head: self.head }
    }

    /// The events of a message that are new, in order.
    fn read(&self, response: &WatchResponse) -> Result<Vec<PositionedEvent>, WatchError> {
        if response.canceled() || response.compact_revision() > 0 {
            // If it was compacted, following again notices and catches up from the log.
            return Err(WatchError::Canceled(response.cancel_reason().to_owned()));
        }
        let mut events: Vec<_> = response
            .events()
            .iter()
            .filter(|event| event.event_type() == Change::Put)
            .filter_map(|event| event.kv())
            .filter_map(|pair| match self.log.event(pair) {
                Ok((_, event)) => Some(event),
                Err(error) => {
                    // No node can read it, so nobody gets it: the order stays the same for all.
                    error!(error = %error.source, "event skipped");
                    metrics::counter!("game_realtime_feed_unreadable_total").increment(1);
                    None
                }
            })
            .filter(|event| event.position > self.head)
            .collect();
        events.sort_unstable_by_key(|event| event.position);
        Ok(events)
    }
}

#[async_trait]
impl FeedStream for EtcdFeedStream {
    async fn next(&mut self) -> Result<FeedUpdate, FollowError> {
        if !self.backlog.is_empty() {
            let backlog = std::mem::take(&mut self.backlog);
            return Ok(self.update(backlog));
        }
        loop {
            tokio::select! {
                biased;
                message = self.watch.message() => {
                    self.heard_at = Instant::now();
                    let message = message
                        .map_err(StoreError::unavailable)?
                        .ok_or_else(|| StoreError::unavailable(WatchError::Ended))?;
                    let events = self.read(&message).map_err(StoreError::unavailable)?;
                    return Ok(self.update(events));
                }
                _ = self.progress.tick() => {
                    if self.heard_at.elapsed() > SILENCE {
                        self.log.cluster.leave(&self.member);
                        return Err(StoreError::unavailable(WatchError::Silent).into());
                    }
                    timeout(PROGRESS_INTERVAL, self.watch.request_progress())
                        .await
                        .map_err(StoreError::unavailable)?
                        .map_err(StoreError::unavailable)?;
                }
            }
        }
    }
}
