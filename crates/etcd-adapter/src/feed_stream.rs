//! An open watch, read as events in order.

use async_trait::async_trait;
use etcd_client::{EventType as Change, WatchResponse};
use game_realtime_application::{
    PositionedEvent,
    ports::{FeedStream, FeedUpdate, FollowError},
};
use game_realtime_domain::Position;
use tracing::error;

use crate::{live_watch::LiveWatch, log_reader::LogReader};

pub(crate) struct EtcdFeedStream {
    watch: LiveWatch,
    log: LogReader,
    head: Position,
    /// Read from the log, to be handed out before what the watch says.
    backlog: Vec<PositionedEvent>,
}

impl EtcdFeedStream {
    pub(crate) fn new(
        watch: LiveWatch,
        log: LogReader,
        head: Position,
        backlog: Vec<PositionedEvent>,
    ) -> Self {
        Self { watch, log, head, backlog }
    }

    fn update(&mut self, events: Vec<PositionedEvent>) -> FeedUpdate {
        if let Some(last) = events.last() {
            self.head = last.position;
        }
        FeedUpdate { events, head: self.head }
    }

    /// The events of a message that are new, in order.
    fn read(&self, response: &WatchResponse) -> Vec<PositionedEvent> {
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
        events
    }
}

#[async_trait]
impl FeedStream for EtcdFeedStream {
    async fn next(&mut self) -> Result<FeedUpdate, FollowError> {
        if !self.backlog.is_empty() {
            let backlog = std::mem::take(&mut self.backlog);
            return Ok(self.update(backlog));
        }
        let message = self.watch.next().await?;
        let events = self.read(&message);
        Ok(self.update(events))
    }
}
