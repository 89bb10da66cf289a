//! Say something to everybody in the namespace.

use std::sync::Arc;

use game_realtime_domain::{self as domain, Author, BroadcastCommand};
use garde::Valid;

use super::{PublishError, Publisher};
use crate::ports::Appended;

/// Publishes a broadcast.
pub struct Broadcast {
    publisher: Arc<Publisher>,
}

impl Broadcast {
    /// The use case on a publisher.
    #[must_use]
    pub fn new(publisher: Arc<Publisher>) -> Self {
        Self { publisher }
    }

    /// Commits the broadcast.
    ///
    /// # Errors
    /// [`PublishError`]; after [`PublishError::Store`] it may have been committed.
    pub async fn execute(
        &self,
        author: Author<'_>,
        command: Valid<BroadcastCommand>,
    ) -> Result<Appended, PublishError> {
        let BroadcastCommand { message, request_id } = command.into_inner();
        self.publisher.publish(author, domain::Broadcast { message }, request_id).await
    }
}
