//! [`EventRepository`] on redb.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use game_realtime_application::{
    NewEvent, PositionedEvent,
    ports::{AppendError, Appended, EventRepository, StoreError},
};
use game_realtime_domain::EventType;
use tokio::sync::watch;

use crate::{database::Database, event_log, writer::WriterHandle};

/// How long a list may take.
const LIST_TIME_LIMIT: Duration = Duration::from_secs(5);

/// The log of events in the file.
#[derive(Clone)]
pub struct EmbeddedEventRepository {
    database: Arc<Database>,
    writer: Arc<WriterHandle>,
    head: watch::Receiver<u64>,
}

impl EmbeddedEventRepository {
    pub(crate) fn new(
        database: Arc<Database>,
        writer: Arc<WriterHandle>,
        head: watch::Receiver<u64>,
    ) -> Self {
        Self { database, writer, head }
    }
}

#[async_trait]
impl EventRepository for EmbeddedEventRepository {
    async fn append(&self, event: NewEvent) -> Result<Appended, AppendError> {
        self.writer.append(event).await
    }

    async fn list(
        &self,
        event_type: EventType,
        limit: usize,
    ) -> Result<Vec<PositionedEvent>, StoreError> {
        let head = *self.head.borrow();
        self.database
            .read(LIST_TIME_LIMIT, move |transaction| {
                event_log::newest(transaction, event_type, limit, head)
            })
            .await
    }
}
