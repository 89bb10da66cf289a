//! How often one sender may send each event.

use game_realtime_domain::{EventType, Sender};

use super::rate::{Buckets, Rate};
use crate::record::Scope;

/// The rate of each event, for one user, or for one guest connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRates {
    /// Of `core.game.state.broadcast`.
    pub broadcast: Rate,
    /// Of `core.game.state.send_message`.
    pub send_message: Rate,
    /// Of `core.game.state.buy_good`.
    pub buy_good: Rate,
}

impl EventRates {
    /// As often as one likes.
    pub const UNLIMITED: Self = Self {
        broadcast: Rate::UNLIMITED,
        send_message: Rate::UNLIMITED,
        buy_good: Rate::UNLIMITED,
    };
}

/// What each sender has left, on this node. Reconnecting does not fill it up.
pub struct EventBudgets {
    broadcast: Buckets<Scope>,
    send_message: Buckets<Scope>,
    buy_good: Buckets<Scope>,
}

impl EventBudgets {
    /// Full budgets, for all there may be.
    #[must_use]
    pub fn new(rates: EventRates) -> Self {
        Self {
            broadcast: Buckets::new(rates.broadcast),
            send_message: Buckets::new(rates.send_message),
            buy_good: Buckets::new(rates.buy_good),
        }
    }

    /// Takes an event out of its sender's budget, if there is room.
    pub(crate) fn take(&self, sender: &Sender, event_type: EventType) -> bool {
        let budgets = match event_type {
            EventType::Broadcast => &self.broadcast,
            EventType::SendMessage => &self.send_message,
            EventType::BuyGood => &self.buy_good,
        };
        budgets.take(&Scope::of(sender))
    }

    /// Forgets, now and then, senders whose budgets are full again. Never ends.
    pub async fn keep_tidy(&self) {
        tokio::join!(
            self.broadcast.keep_tidy(),
            self.send_message.keep_tidy(),
            self.buy_good.keep_tidy()
        );
    }
}
