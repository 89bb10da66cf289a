//! One committed event, and whom it is meant for.

use std::time::Duration;

use game_realtime_application::{PositionedEvent, RequestReceipt};
use game_realtime_domain::{Connection, EventType, UserId};

pub(crate) struct Entry {
    pub(crate) event: PositionedEvent,
    pub(crate) receipt: Option<RequestReceipt>,
    /// When it was committed, by the store's own time.
    pub(crate) at: Duration,
    /// The player it is addressed to by its payload.
    target: Option<String>,
}

impl Entry {
    pub(crate) fn new(
        event: PositionedEvent,
        receipt: Option<RequestReceipt>,
        at: Duration,
    ) -> Self {
        let payload: serde_json::Value = serde_json::from_str(&event.event.payload.json).unwrap();
        let target = payload.get("target_user_id").and_then(|id| id.as_str()).map(str::to_owned);
        Self { event, receipt, at, target }
    }

    /// Whom the contract gives it to. Said once more in other words than in `Route`, which is
    /// what it has to be compared with.
    pub(crate) fn is_meant_for(&self, connection: &Connection) -> bool {
        let event = &self.event.event;
        let user = connection.user_id.as_ref().map(UserId::as_str);
        let is_sender = event.sender.connection_id == connection.id
            || (user.is_some() && event.sender.user_id == connection.user_id);
        match event.payload.event_type {
            EventType::Broadcast => connection.namespace == event.namespace,
            EventType::SendMessage => {
                is_sender || (user.is_some() && user == self.target.as_deref())
            }
            EventType::BuyGood => is_sender,
        }
    }
}
