//! How many events connections were handed, by type: `game_realtime_deliveries_total`.

use game_realtime_domain::EventType;
use metrics::Counter;

/// The counters, looked up once and not at every delivery.
#[derive(Clone)]
pub(super) struct Deliveries {
    broadcasts: Counter,
    messages: Counter,
    purchases: Counter,
}

impl Deliveries {
    pub(super) fn new() -> Self {
        let of = |event_type: EventType| metrics::counter!("game_realtime_deliveries_total", "type" => event_type.as_str());
        Self {
            broadcasts: of(EventType::Broadcast),
            messages: of(EventType::SendMessage),
            purchases: of(EventType::BuyGood),
        }
    }

    pub(super) fn add(&self, event_type: EventType, count: u64) {
        let counter = match event_type {
            EventType::Broadcast => &self.broadcasts,
            EventType::SendMessage => &self.messages,
            EventType::BuyGood => &self.purchases,
        };
        counter.increment(count);
    }
}
