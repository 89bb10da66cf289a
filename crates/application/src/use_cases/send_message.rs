//! Say something to one player, online or not.

use std::sync::Arc;

use game_realtime_domain::{self as domain, Author, SendMessageCommand};
use garde::Valid;

use super::{PublishError, Publisher};
use crate::ports::Appended;

/// Publishes a message to a player.
pub struct SendMessage {
    publisher: Arc<Publisher>,
}

impl SendMessage {
    /// The use case on a publisher.
    #[must_use]
    pub fn new(publisher: Arc<Publisher>) -> Self {
        Self { publisher }
    }

    /// Commits the message. The answer says how many connections the target had at the commit.
    ///
    /// # Errors
    /// [`PublishError`]; after [`PublishError::Store`] it may have been committed.
    pub async fn execute(
        &self,
        author: Author<'_>,
        command: Valid<SendMessageCommand>,
    ) -> Result<Appended, PublishError> {
        let SendMessageCommand { target_user_id, text, request_id } = command.into_inner();
        let payload = domain::SendMessage { target_user_id, text };
        self.publisher.publish(author, payload, request_id).await
    }
}
