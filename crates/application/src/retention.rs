//! How long stores keep what they are given.

use std::time::Duration;

use game_realtime_domain::{EventType, RetentionClass};

/// How long a store keeps events and the receipts of their requests, as far as its space budget
/// reaches. Over the budget the oldest go first: [`RetentionClass::ALL`] is the order of the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Events younger than this are kept whatever their class.
    pub replay_window: Duration,
    /// This many of the newest events are kept, however old they are.
    pub replay_events: usize,
    /// What is kept of broadcasts and messages.
    pub state: ClassRetention,
    /// What is kept of purchases.
    pub purchases: ClassRetention,
}

/// How long one class is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassRetention {
    /// Younger events are kept.
    pub events: Duration,
    /// A `request_id` is remembered at least this long.
    pub receipts: Duration,
}

impl RetentionPolicy {
    /// What is kept of a class. Never less than the replay window of its events.
    #[must_use]
    pub fn of(&self, class: RetentionClass) -> ClassRetention {
        let class = match class {
            RetentionClass::State => self.state,
            RetentionClass::Purchases => self.purchases,
        };
        ClassRetention { events: class.events.max(self.replay_window), ..class }
    }

    /// What is kept of events of a type.
    #[must_use]
    pub fn of_type(&self, event_type: EventType) -> ClassRetention {
        self.of(event_type.retention_class())
    }
}
