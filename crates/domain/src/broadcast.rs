//! `core.game.state.broadcast`: something said to everybody in the sender's namespace.

use alloc::string::String;

use crate::{
    CommandLimits, EventType, Namespace, Payload, RequestId, Route, Sender, limits::length_up_to,
};

/// What a client asks for.
#[derive(Debug, Clone, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
#[garde(context(CommandLimits as limits))]
pub struct BroadcastCommand {
    /// What is said.
    #[garde(custom(length_up_to(limits.message_length)))]
    pub message: String,
    /// The client's idempotency key.
    #[serde(default)]
    #[garde(skip)]
    pub request_id: Option<RequestId>,
}

/// What the event carries.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Broadcast {
    /// What was said.
    pub message: String,
}

impl Payload for Broadcast {
    const TYPE: EventType = EventType::Broadcast;

    fn route(&self, namespace: Namespace, _sender: &Sender) -> Route {
        Route::Namespace(namespace)
    }
}
