//! [`EventRepository`] on redb.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use game_realtime_application::{
    NewEvent,
    ports::{AppendError, Appended, EventRepository, Listing, StoreError},
};
use game_realtime_domain::{Epoch, EventType};
use tokio::sync::watch;

use crate::{database::Database, event_log, writer::WriterHandle};

/// How long a list may take.
const LIST_TIME_LIMIT: Duration = Duration::from_secs(5);

/// The log of events in the file.
#[derive(Clone)]
pub struct EmbeddedEventRepository {
    database: Arc<Database>,
    writer: Arc<WriterHandle>,
    epoch: Epoch,
    head: watch::Receiver<u64>,
}

impl EmbeddedEventRepository {
    pub(crate) fn new(
        database: Arc<Database>,
        writer: Arc<WriterHandle>,
        epoch: Epoch,
        head: watch::Receiver<u64>,
    ) -> Self {
        Self { database, writer, epoch, head }
    }
}

#[async_trait]
impl EventRepository for EmbeddedEventRepository {
    async fn append(&self, event: NewEvent) -> Result<Appended, AppendError> {
        self.writer.append(event).await
    }

    async fn list(&self, event_type: EventType, limit: usize) -> Result<Listing, StoreError> {
        let head = *self.head.borrow();
        let database = Arc::clone(&self.database);
        let events = self
            .database
            .read(LIST_TIME_LIMIT, move |transaction| {
                event_log::newest(transaction, &database.unreadables, event_type, limit, head)
            })
            .await?;
        Ok(Listing { epoch: self.epoch.clone(), events })
    }
}
