//! Events as stores keep them: routed without a look at the payload, which stays encoded.

use std::sync::Arc;

use game_realtime_domain::{
    ConnectionId, Event, EventType, Namespace, Payload, Position, Recipient, RequestId, Route,
    Sender, UserId,
};
use uuid::Uuid;

use crate::trace::TraceContext;

/// A payload in its stored and wire form: one JSON object. Encoded once, when it is published,
/// and never decoded again by the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPayload {
    /// What it is the payload of.
    pub event_type: EventType,
    /// A JSON object, without insignificant white space.
    pub json: Arc<str>,
}

/// An event whose payload is encoded.
pub type RecordedEvent = Event<EncodedPayload>;

/// Within what a `request_id` names one request: a player, a guest's connection, or the system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All connections of a player.
    User(UserId),
    /// One guest connection.
    Connection(ConnectionId),
    /// Everything that operators send in nobody's name.
    System,
}

impl Scope {
    /// The scope of requests from `sender`.
    #[must_use]
    pub fn of(sender: &Sender) -> Self {
        match sender.recipient() {
            Some(Recipient::User(user_id)) => Self::User(user_id),
            Some(Recipient::Connection(id)) => Self::Connection(id),
            None => Self::System,
        }
    }
}

/// What makes a repeated request recognisable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestReceipt {
    /// Within what the key is unique.
    pub scope: Scope,
    /// The client's key.
    pub request_id: RequestId,
    /// A digest of what is asked for: a repeat has the same one.
    pub fingerprint: Uuid,
}

/// An event on its way into a store.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The event.
    pub event: RecordedEvent,
    /// Whom it concerns.
    pub route: Route,
    /// Set when the client gave a `request_id`.
    pub receipt: Option<RequestReceipt>,
    /// The player whose open connections are counted in the commit.
    pub presence_of: Option<UserId>,
    /// Kept with the event, for those who deliver it; `None` if it is not traced.
    pub trace: Option<TraceContext>,
}

/// An event that is committed: it has its place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionedEvent {
    /// Its place in the order.
    pub position: Position,
    /// The event.
    pub event: RecordedEvent,
    /// Whom it concerns.
    pub route: Route,
    /// What its delivery is a part of; `None` if it is not traced.
    pub trace: Option<TraceContext>,
}

impl NewEvent {
    /// Prepares an event for a store: encodes the payload and derives route and receipt.
    ///
    /// # Errors
    /// When the payload cannot be represented in JSON.
    pub fn encode<P: Payload>(
        event: Event<P>,
        request_id: Option<RequestId>,
    ) -> Result<Self, serde_json::Error> {
        let json: Arc<str> = serde_json::to_string(&event.payload)?.into();
        let receipt = request_id.map(|request_id| {
            let scope = Scope::of(&event.sender);
            let fingerprint = match scope {
                // They are in one namespace for good.
                Scope::User(_) | Scope::Connection(_) => fingerprint(P::TYPE, None, &json),
                Scope::System => fingerprint(P::TYPE, Some(event.namespace), &json),
            };
            RequestReceipt { scope, request_id, fingerprint }
        });
        Ok(Self {
            route: event.payload.route(event.namespace, &event.sender),
            presence_of: event.payload.presence_of().cloned(),
            receipt,
            trace: None,
            event: Event {
                id: event.id,
                namespace: event.namespace,
                sender: event.sender,
                created_at: event.created_at,
                payload: EncodedPayload { event_type: P::TYPE, json },
            },
        })
    }
}

/// A UUID of version 5 (RFC 9562) over event type, payload and, where the sender has a choice,
/// namespace. It guards a client against its own
/// mistakes, not against an attacker: nobody but the client chooses both payloads.
fn fingerprint(event_type: EventType, namespace: Option<Namespace>, json: &str) -> Uuid {
    let mut of = Uuid::new_v5(&Uuid::NAMESPACE_URL, event_type.as_str().as_bytes());
    if let Some(namespace) = namespace {
        of = Uuid::new_v5(&of, namespace.as_str().as_bytes());
    }
    Uuid::new_v5(&of, json.as_bytes())
}
