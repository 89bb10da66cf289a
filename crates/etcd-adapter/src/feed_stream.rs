//! An open watch, read as events in order.

use async_trait::async_trait;
use etcd_client::{EventType as Change, KeyValue, WatchResponse};
use game_realtime_application::ports::{FeedStream, FeedUpdate, FollowError};
use game_realtime_domain::{Position, RetentionClass};

use crate::{
    epoch::revision,
    live_watch::LiveWatch,
    log::{
        reader::{Entry, LogReader},
        segments::Segment,
    },
};

pub(crate) struct EtcdFeedStream {
    watch: LiveWatch,
    log: LogReader,
    head: Position,
    /// Read from the log, to be handed out before what the watch says.
    backlog: Option<FeedUpdate>,
}

impl EtcdFeedStream {
    /// Goes on with what `watch` says once `backlog` is handed out.
    pub(crate) fn new(watch: LiveWatch, log: LogReader, backlog: FeedUpdate) -> Self {
        let head = backlog.head;
        let backlog = (!backlog.events.is_empty()).then_some(backlog);
        Self { watch, log, head, backlog }
    }

    /// The events of a message that are new, in order. The head moves past those that cannot be read.
    fn read(&mut self, response: &WatchResponse) -> FeedUpdate {
        let after = self.head;
        let mut head = after;
        let puts = response.events().iter().filter(|event| event.event_type() == Change::Put);
        let mut events: Vec<_> = puts
            .filter_map(|event| event.kv())
            .filter_map(|pair| self.entry(pair))
            .inspect(|entry| head = head.max(entry.position()))
            .filter_map(Entry::event)
            .filter(|event| event.position > after)
            .collect();
        events.sort_unstable_by_key(|event| event.position);
        self.head = head;
        // After its events: what is known has to be in the segment that is known.
        self.log.segments.observe(revision(response.header()));
        FeedUpdate { events, head: self.head }
    }

    fn entry(&self, pair: &KeyValue) -> Option<Entry> {
        if let Some(segment) = Segment::read(&self.log.keys, pair) {
            self.log.segments.learn(segment);
            return None;
        }
        let entry = self.log.entry(pair);
        let class = match &entry {
            Entry::Event(event) => event.event.payload.event_type.retention_class(),
            Entry::Unreadable(_) => RetentionClass::State,
        };
        self.log.segments.written(class, pair.key().len() + pair.value().len());
        Some(entry)
    }
}

#[async_trait]
impl FeedStream for EtcdFeedStream {
    async fn next(&mut self) -> Result<FeedUpdate, FollowError> {
        if let Some(backlog) = self.backlog.take() {
            return Ok(backlog);
        }
        let message = self.watch.next().await?;
        Ok(self.read(&message))
    }
}
