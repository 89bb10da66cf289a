//! The feed on etcd: one watch per node over all events.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use etcd_client::{WatchFilterType, WatchOptions};
use game_realtime_application::{
    HistoryBuilder, TimelineLimits,
    ports::{Clock, EventFeed, FeedStream, FeedUpdate, FollowError, History, StoreError},
};
use game_realtime_domain::{Cursor, Epoch, Position};
use tracing::info;

use crate::{
    cluster::{CallError, Cluster},
    epoch::EpochCell,
    feed_stream::EtcdFeedStream,
    live_watch::LiveWatch,
    log::{
        read_back::{ReadBack, read_back},
        reader::LogReader,
    },
};

/// Follows etcd.
pub(crate) struct EtcdEventFeed {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) epoch: Arc<EpochCell>,
    pub(crate) log: LogReader,
    clock: Arc<dyn Clock>,
    /// How much memory a history may take.
    history_bytes: AtomicUsize,
    /// A position and a later revision, between which nothing happened.
    idle: Mutex<Option<(Position, u64)>>,
}

impl EtcdEventFeed {
    pub(crate) fn new(epoch: Arc<EpochCell>, log: LogReader, clock: Arc<dyn Clock>) -> Self {
        let cluster = Arc::clone(&log.cluster);
        let history_bytes = AtomicUsize::new(usize::MAX);
        Self { cluster, epoch, log, clock, history_bytes, idle: Mutex::default() }
    }

    /// Opens a watch over all events from a revision on.
    async fn watch(&self, from: u64) -> Result<LiveWatch, CallError> {
        // Deletions are pruning, which nobody needs to hear of. A catch-up may be larger than one
        // message can be, so it comes in fragments.
        let options = WatchOptions::new()
            .with_prefix()
            .with_start_revision(i64::try_from(from.max(1)).unwrap_or(i64::MAX))
            .with_filters([WatchFilterType::NoDelete])
            .with_fragment();
        let key = self.log.keys.log();
        let watch = self
            .cluster
            .watch(|mut watches| async move { watches.watch(key, Some(options)).await })
            .await?;
        Ok(LiveWatch::new(Arc::clone(&self.cluster), watch))
    }

    /// What happened after a position up to a revision, from the log instead of the history: as long
    /// as it fits into the memory that a history may take.
    async fn read_log(&self, after: Position, revision: u64) -> Result<History, FollowError> {
        let bytes = self.history_bytes.load(Ordering::Relaxed);
        let limits = TimelineLimits { age: Duration::MAX, events: 0, bytes };
        let history = HistoryBuilder::new(limits, self.clock.now());
        let ReadBack { history, pruned } = read_back(&self.log, revision, after, history).await?;
        let epoch = self.epoch.get().await?;
        let history = history.build(epoch, pruned);
        if history.floor > after { Err(FollowError::Lost) } else { Ok(history) }
    }
}

#[async_trait]
impl EventFeed for EtcdEventFeed {
    async fn end(&self) -> Result<Cursor, StoreError> {
        let (epoch, revision) = self.epoch.read().await?;
        // Events of this revision are all there.
        Ok(Cursor { epoch, position: Position::new(revision, u32::MAX) })
    }

    async fn recent(&self, limits: TimelineLimits) -> Result<History, StoreError> {
        self.history_bytes.store(limits.bytes, Ordering::Relaxed);
        let (epoch, revision) = self.epoch.read().await?;
        let history = HistoryBuilder::new(limits, self.clock.now());
        let ReadBack { history, pruned } =
            read_back(&self.log, revision, Position::START, history).await?;
        let history = history.build(epoch, pruned);
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some((history.head, revision));
        Ok(history)
    }

    async fn follow(
        &self,
        epoch: &Epoch,
        after: Position,
    ) -> Result<Box<dyn FeedStream>, FollowError> {
        let (current, revision) = self.epoch.read().await?;
        if current != *epoch || after.revision > revision {
            return Err(FollowError::Lost);
        }
        let idle = *self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let start = match idle {
            Some((position, revision)) if position == after => revision + 1,
            // Of the position's own transaction there may be more.
            Some(_) | None => after.revision,
        };
        let compacted =
            start <= revision && self.log.is_compacted(start).await.map_err(StoreError::from)?;
        let (start, backlog) = if compacted {
            let History { mut events, head, .. } = self.read_log(after, revision).await?;
            events.retain(|event| event.position > after);
            info!(events = events.len(), "history is compacted, caught up from the log");
            (revision + 1, FeedUpdate { events, head: head.max(after) })
        } else {
            (start, FeedUpdate { events: Vec::new(), head: after })
        };
        let watch = self.watch(start).await.map_err(StoreError::from)?;
        Ok(Box::new(EtcdFeedStream::new(watch, self.log.clone(), backlog)))
    }
}
