//! One committed event, and whom it is meant for.

use game_realtime_application::{PositionedEvent, RequestReceipt};
use game_realtime_domain::{Connection, EventType, UserId};

pub(crate) struct Entry {
    pub(crate) event: PositionedEvent,
    pub(crate) receipt: Option<RequestReceipt>,
    /// Whether this version can read it. If not, it is passed over.
    pub(crate) readable: bool,
    /// The player it is addressed to by its payload.
    target: Option<String>,
}

impl Entry {
    pub(crate) fn new(event: PositionedEvent, receipt: Option<RequestReceipt>) -> Self {
        let payload: serde_json::Value = serde_json::from_str(&event.event.payload.json).unwrap();
        let target = payload.get("target_user_id").and_then(|id| id.as_str()).map(str::to_owned);
        Self { event, receipt, readable: true, target }
    }

    /// A record as another version may have left it.
    pub(crate) fn unreadable(event: PositionedEvent) -> Self {
        Self { event, receipt: None, readable: false, target: None }
    }

    /// Whom the contract gives it to. Said once more in other words than in `Route`, which is
    /// what it has to be compared with.
    pub(crate) fn is_meant_for(&self, connection: &Connection) -> bool {
        if !self.readable {
            return false;
        }
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
