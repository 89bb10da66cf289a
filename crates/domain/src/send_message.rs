//! `core.game.state.send_message`: something said to one player.

use alloc::string::String;

use crate::{
    CommandLimits, EventType, Namespace, Payload, Recipient, RequestId, Route, Sender, UserId,
    limits::length_up_to,
};

/// What a client asks for.
#[derive(Debug, Clone, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
#[garde(context(CommandLimits as limits))]
pub struct SendMessageCommand {
    /// The player it is for, online or not.
    #[garde(skip)]
    pub target_user_id: UserId,
    /// What is said.
    #[garde(custom(length_up_to(limits.text_length)))]
    pub text: String,
    /// The client's idempotency key.
    #[serde(default)]
    #[garde(skip)]
    pub request_id: Option<RequestId>,
}

/// What the event carries.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SendMessage {
    /// The player it is for.
    pub target_user_id: UserId,
    /// What was said.
    pub text: String,
}

impl Payload for SendMessage {
    const TYPE: EventType = EventType::SendMessage;

    fn route(&self, _namespace: Namespace, sender: &Sender) -> Route {
        let target = Recipient::User(self.target_user_id.clone());
        match sender.recipient() {
            Some(sender) => Route::both(target, sender),
            None => Route::One(target),
        }
    }

    fn presence_of(&self) -> Option<&UserId> {
        Some(&self.target_user_id)
    }
}
