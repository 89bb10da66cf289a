//! The feed on etcd: one watch per node over all events.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use etcd_client::{GetOptions, WatchFilterType, WatchOptions};
use game_realtime_application::{
    PositionedEvent, TimelineLimits,
    ports::{EventFeed, FeedStream, FollowError, History, StoreError},
};
use game_realtime_domain::{Cursor, Epoch, Position};
use tracing::info;

use crate::{
    cluster::{CallError, Cluster},
    epoch::EpochCell,
    feed_stream::EtcdFeedStream,
    live_watch::LiveWatch,
    log_reader::LogReader,
    read_back::{ReadBack, Stretch},
};

/// Follows etcd.
pub(crate) struct EtcdEventFeed {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) epoch: Arc<EpochCell>,
    pub(crate) log: LogReader,
    /// A position and a later revision, between which nothing happened.
    idle: Mutex<Option<(Position, u64)>>,
}

impl EtcdEventFeed {
    pub(crate) fn new(cluster: Arc<Cluster>, epoch: Arc<EpochCell>, log: LogReader) -> Self {
        Self { cluster, epoch, log, idle: Mutex::default() }
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
        let key = self.log.keys.events();
        let watch = self
            .cluster
            .watch(|mut watches| async move { watches.watch(key, Some(options)).await })
            .await?;
        Ok(LiveWatch::new(Arc::clone(&self.cluster), watch))
    }

    /// Whether etcd no longer has the history from a revision on.
    async fn is_compacted(&self, revision: u64) -> Result<bool, CallError> {
        let options =
            GetOptions::new().with_revision(i64::try_from(revision.max(1)).unwrap_or(i64::MAX));
        let key = self.log.keys.epoch();
        match self.cluster.kv(|mut kv| async move { kv.get(key, Some(options)).await }).await {
            Ok(_) => Ok(false),
            Err(error) if error.is_compacted() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// What happened after a position up to a revision, from the log instead of the history.
    async fn read_log(
        &self,
        after: Position,
        revision: u64,
    ) -> Result<Vec<PositionedEvent>, FollowError> {
        let reaches = |_: u64, floor: Position, _: usize| floor <= after;
        let Stretch { floor, mut events } =
            ReadBack::new(&self.log, revision).until(reaches).await?;
        if floor.is_some_and(|floor| floor > after) || self.log.pruned(revision).await? > after {
            return Err(FollowError::Lost);
        }
        events.retain(|event| event.position > after);
        Ok(events)
    }
}

#[async_trait]
impl EventFeed for EtcdEventFeed {
    async fn end(&self) -> Result<Cursor, StoreError> {
        let (epoch, revision) = self.epoch.read().await?;
        Ok(Cursor { epoch, position: Position::after_revision(revision) })
    }

    async fn recent(&self, limits: TimelineLimits) -> Result<History, StoreError> {
        let TimelineLimits { age: window, events, .. } = limits;
        let (epoch, revision) = self.epoch.read().await?;
        let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let since = self.log.stamps.now().saturating_sub(window);
        let enough = |from: u64, _: Position, above: usize| from <= since && above >= events;
        let Stretch { floor, mut events } =
            ReadBack::new(&self.log, revision).until(enough).await?;
        // Of what may have been pruned some may still be there, but not all that belongs to it.
        let floor = floor.unwrap_or(Position::START).max(self.log.pruned(revision).await?);
        events.retain(|event| event.position > floor);
        let head = events.last().map_or(floor, |event| event.position);
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some((head, revision));
        Ok(History { epoch, floor, events, head })
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
            start <= revision && self.is_compacted(start).await.map_err(StoreError::from)?;
        let (start, backlog) = if compacted {
            let backlog = self.read_log(after, revision).await?;
            info!(events = backlog.len(), "history is compacted, caught up from the log");
            (revision + 1, backlog)
        } else {
            (start, Vec::new())
        };
        let watch = self.watch(start).await.map_err(StoreError::from)?;
        Ok(Box::new(EtcdFeedStream::new(watch, self.log.clone(), after, backlog)))
    }
}
