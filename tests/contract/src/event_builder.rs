//! Events for tests.

use std::sync::Arc;

use game_realtime_application::{EncodedPayload, NewEvent, ports::Clock};
use game_realtime_domain::{
    Author, Broadcast, BuyGood, Connection, Event, EventId, Namespace, Payload, RequestId,
    SendMessage, Sender, Timestamp, UserId,
};

use crate::{WallClock, unique_id};

/// Builds an event with an id of its own, created now, without `request_id`.
#[derive(Debug, Clone)]
pub struct EventBuilder {
    namespace: Namespace,
    sender: Sender,
    created_at: Timestamp,
    request_id: Option<RequestId>,
}

impl EventBuilder {
    /// An event sent by `connection`.
    #[must_use]
    pub fn from(connection: &Connection) -> Self {
        Self::of(Author::Connection(connection))
    }

    /// An event that an operator sends for `author`.
    #[must_use]
    pub fn of(author: Author<'_>) -> Self {
        Self {
            namespace: author.namespace(),
            sender: author.sender(),
            created_at: WallClock.now(),
            request_id: None,
        }
    }

    /// With a `request_id`.
    ///
    /// # Panics
    /// When `id` is not a request id.
    #[must_use]
    pub fn request(mut self, id: &str) -> Self {
        self.request_id = Some(request_id(id));
        self
    }

    /// Created then.
    #[must_use]
    pub fn created_at(mut self, created_at: Timestamp) -> Self {
        self.created_at = created_at;
        self
    }

    /// A broadcast.
    ///
    /// # Panics
    /// Never: the payload is JSON.
    #[must_use]
    pub fn broadcast(self, message: &str) -> NewEvent {
        self.with(Broadcast { message: message.to_owned() })
    }

    /// A message to the player `target`.
    ///
    /// # Panics
    /// When `target` is not a user id.
    #[must_use]
    pub fn message(self, target: &str, text: &str) -> NewEvent {
        self.with(SendMessage { target_user_id: user_id(target), text: text.to_owned() })
    }

    /// A purchase.
    ///
    /// # Panics
    /// Never: the payload is JSON.
    #[must_use]
    pub fn purchase(self, good_id: &str, count: i64) -> NewEvent {
        self.with(BuyGood { good_id: good_id.to_owned(), count })
    }

    /// A broadcast whose stored payload is exactly `json`.
    ///
    /// # Panics
    /// Never: the payload it replaces is JSON.
    #[must_use]
    pub fn encoded(self, json: &str) -> NewEvent {
        let mut event = self.broadcast("");
        event.event.payload =
            EncodedPayload { event_type: event.event.payload.event_type, json: Arc::from(json) };
        event
    }

    fn with<P: Payload>(self, payload: P) -> NewEvent {
        let event = Event {
            id: EventId(unique_id()),
            namespace: self.namespace,
            sender: self.sender,
            created_at: self.created_at,
            payload,
        };
        NewEvent::encode(event, self.request_id).expect("the payload is JSON")
    }
}

/// A user id from text that is one.
///
/// # Panics
/// When it is not.
#[must_use]
pub fn user_id(id: &str) -> UserId {
    UserId::parse(id).expect("a user id")
}

/// A request id from text that is one.
///
/// # Panics
/// When it is not.
#[must_use]
pub fn request_id(id: &str) -> RequestId {
    RequestId::try_from(id.to_owned()).expect("a request id")
}
