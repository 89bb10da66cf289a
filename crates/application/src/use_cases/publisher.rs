//! What the three events have in common: may this be sent, and the way into the log.

use std::sync::Arc;

use game_realtime_domain::{Author, Event, EventId, EventType, Namespace, Payload, RequestId};

use tracing::debug;

use crate::{
    limits::{EventBudgets, Refusal},
    ports::{AppendError, Appended, Clock, EventRepository, IdGenerator, SpanKind, StoreError},
    record::NewEvent,
    trace::Span,
};

/// Which events each namespace may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// What identified players may send.
    pub private: Vec<EventType>,
    /// What guests may send.
    pub guest: Vec<EventType>,
}

impl Allowed {
    /// Whoever speaks for a player may do what the player may. The system is no client.
    fn allows(&self, author: Author<'_>, event_type: EventType) -> bool {
        match author {
            Author::System(_) => true,
            Author::Connection(_) | Author::User(_) => match author.namespace() {
                Namespace::Private => self.private.contains(&event_type),
                Namespace::Guest => self.guest.contains(&event_type),
            },
        }
    }
}

/// Publishes events, whoever they are from.
pub struct Publisher {
    repository: Arc<dyn EventRepository>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    allowed: Allowed,
    budgets: Arc<EventBudgets>,
}

/// An event was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// This namespace, or this author, may not send this event.
    #[error("this namespace may not send this event")]
    Forbidden,
    /// The sender has sent too many of these lately.
    #[error("over the sender's budget")]
    RateLimited,
    /// The `request_id` was used for something else.
    #[error("request id was used with another payload")]
    IdempotencyConflict,
    /// The store failed; whether the event was committed is unknown.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The payload cannot be encoded.
    #[error("payload cannot be encoded")]
    Encode(#[from] serde_json::Error),
}

impl Publisher {
    /// A publisher into `repository`.
    pub fn new(
        repository: Arc<dyn EventRepository>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        allowed: Allowed,
        budgets: Arc<EventBudgets>,
    ) -> Self {
        Self { repository, clock, ids, allowed, budgets }
    }

    /// Commits an event, if its author may send it and has the budget for it.
    pub(super) async fn publish<P: Payload>(
        &self,
        author: Author<'_>,
        payload: P,
        request_id: Option<RequestId>,
    ) -> Result<Appended, PublishError> {
        if !self.allowed.allows(author, P::TYPE) {
            return Err(PublishError::Forbidden);
        }
        let sender = author.sender();
        if !self.budgets.take(&sender, P::TYPE) {
            Refusal::UserRate.count();
            return Err(PublishError::RateLimited);
        }
        let mut span = Span::of_current("application.event.publish", SpanKind::Internal);
        let created_at = self.clock.now();
        let event = Event {
            id: EventId(self.ids.next(created_at)),
            namespace: author.namespace(),
            sender,
            created_at,
            payload,
        };
        let mut event = NewEvent::encode(event, request_id)?;
        event.trace = span.context();
        if span.is_recording() {
            span.set("event.id", event.event.id.0);
            span.set("event.type", P::TYPE.as_str());
        }
        debug!(
            connection.id = %event.event.sender.connection_id,
            event.id = %event.event.id.0,
            event.r#type = P::TYPE.as_str(),
            request.id = event.receipt.as_ref().map(|receipt| receipt.request_id.as_str()),
            "event on its way to the store"
        );
        let connection_id = event.event.sender.connection_id;
        let appended =
            span.scope(self.repository.append(event)).await.map_err(|error| match error {
                AppendError::IdempotencyConflict => PublishError::IdempotencyConflict,
                AppendError::Store(error) => {
                    span.fail(error.kind.as_str());
                    PublishError::Store(error)
                }
            })?;
        span.set("event.duplicate", appended.duplicate);
        debug!(
            connection.id = %connection_id,
            event.id = %appended.event_id.0,
            duplicate = appended.duplicate,
            "event committed"
        );
        Ok(appended)
    }
}
