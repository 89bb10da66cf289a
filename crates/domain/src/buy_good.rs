//! `core.game.state.buy_good`: a player bought something.

use alloc::string::String;

use crate::{
    CommandLimits, EventType, Namespace, Payload, Recipient, RequestId, Route, Sender,
    count::{self, count_within_limits},
    limits::length_up_to,
};

/// What a client asks for.
#[derive(Debug, Clone, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
#[garde(context(CommandLimits as limits))]
pub struct BuyGoodCommand {
    /// Which good, as the game's catalogue names it.
    #[garde(custom(length_up_to(limits.good_id_length)))]
    pub good_id: String,
    /// How many.
    #[serde(deserialize_with = "count::deserialize")]
    #[garde(custom(count_within_limits))]
    pub count: i64,
    /// The client's idempotency key.
    #[serde(default)]
    #[garde(skip)]
    pub request_id: Option<RequestId>,
}

/// What the event carries.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BuyGood {
    /// Which good.
    pub good_id: String,
    /// How many.
    pub count: i64,
}

impl Payload for BuyGood {
    const TYPE: EventType = EventType::BuyGood;

    fn route(&self, _namespace: Namespace, sender: &Sender) -> Route {
        Route::One(match &sender.user_id {
            Some(user_id) => Recipient::User(user_id.clone()),
            None => Recipient::Connection(sender.connection_id),
        })
    }
}
