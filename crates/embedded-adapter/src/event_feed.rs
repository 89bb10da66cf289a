//! [`EventFeed`] on redb: reads what was committed, then waits for more.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use game_realtime_application::{
    HistoryBuilder, TimelineLimits,
    ports::{Clock, EventFeed, FeedStream, FeedUpdate, FollowError, History, StoreError},
};
use game_realtime_domain::{Cursor, Epoch, Position};
use tokio::sync::watch;

use crate::{
    database::Database,
    event_log,
    positions::{number_at, position_of},
};

/// How long one page may take.
const PAGE_TIME_LIMIT: Duration = Duration::from_secs(5);
/// How long a history may take: it is read once, at the start, and may be large.
const HISTORY_TIME_LIMIT: Duration = Duration::from_secs(60);
/// How long a follower hears nothing, at most.
const SILENCE: Duration = Duration::from_secs(1);

/// The order of events in the file.
#[derive(Clone)]
pub struct EmbeddedEventFeed {
    database: Arc<Database>,
    epoch: Epoch,
    head: watch::Receiver<u64>,
    clock: Arc<dyn Clock>,
}

/// Nothing of it is lost by dropping a future: `after` moves only once a page was read.
struct EmbeddedFeedStream {
    database: Arc<Database>,
    head: watch::Receiver<u64>,
    after: u64,
}

impl EmbeddedEventFeed {
    pub(crate) fn new(
        database: Arc<Database>,
        epoch: Epoch,
        head: watch::Receiver<u64>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { database, epoch, head, clock }
    }
}

#[async_trait]
impl EventFeed for EmbeddedEventFeed {
    async fn recent(&self, limits: TimelineLimits) -> Result<History, StoreError> {
        let head = *self.head.borrow();
        let builder = HistoryBuilder::new(limits, self.clock.now());
        let database = Arc::clone(&self.database);
        let (builder, floor) = self
            .database
            .read(HISTORY_TIME_LIMIT, move |transaction| {
                event_log::recent(transaction, &database.unreadables, head, builder)
            })
            .await?;
        Ok(builder.build(self.epoch.clone(), position_of(floor)))
    }

    async fn end(&self) -> Result<Cursor, StoreError> {
        let head = *self.head.borrow();
        Ok(Cursor { epoch: self.epoch.clone(), position: position_of(head) })
    }

    async fn follow(
        &self,
        epoch: &Epoch,
        after: Position,
    ) -> Result<Box<dyn FeedStream>, FollowError> {
        let after = number_at(after);
        // A position above the head was never given out.
        if *epoch != self.epoch || after > *self.head.borrow() {
            return Err(FollowError::Lost);
        }
        if after < self.database.read(PAGE_TIME_LIMIT, event_log::floor).await? {
            return Err(FollowError::Lost);
        }
        Ok(Box::new(EmbeddedFeedStream {
            database: Arc::clone(&self.database),
            head: self.head.clone(),
            after,
        }))
    }
}

#[async_trait]
impl FeedStream for EmbeddedFeedStream {
    async fn next(&mut self) -> Result<FeedUpdate, FollowError> {
        let head = *self.head.borrow_and_update();
        if self.after < head {
            return self.page(head).await;
        }
        match tokio::time::timeout(SILENCE, self.head.changed()).await {
            Ok(Ok(())) => {
                let head = *self.head.borrow_and_update();
                self.page(head).await
            }
            Ok(Err(_)) => Err(StoreError::unavailable("the store is closed").into()),
            Err(_) => Ok(FeedUpdate { events: Vec::new(), head: position_of(self.after) }),
        }
    }
}

impl EmbeddedFeedStream {
    async fn page(&mut self, head: u64) -> Result<FeedUpdate, FollowError> {
        let (database, after) = (Arc::clone(&self.database), self.after);
        let page = self
            .database
            .read(PAGE_TIME_LIMIT, move |transaction| {
                event_log::page(transaction, &database.unreadables, after, head)
            })
            .await?
            .ok_or(FollowError::Lost)?;
        self.after = page.last;
        Ok(FeedUpdate { events: page.events, head: position_of(self.after) })
    }
}
