//! [`StoreHealth`] on redb: the writer answers for the file.

use std::sync::Arc;

use async_trait::async_trait;
use game_realtime_application::ports::{StoreError, StoreHealth};

use crate::writer::WriterHandle;

/// Asks the writer, through the queue that events take too. If the last write failed, the writer
/// tries another one before it answers.
#[derive(Clone)]
pub struct EmbeddedStoreHealth {
    writer: Arc<WriterHandle>,
}

impl EmbeddedStoreHealth {
    pub(crate) fn new(writer: Arc<WriterHandle>) -> Self {
        Self { writer }
    }
}

#[async_trait]
impl StoreHealth for EmbeddedStoreHealth {
    async fn check(&self) -> Result<(), StoreError> {
        self.writer.probe().await
    }
}
