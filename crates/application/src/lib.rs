//! What the gateway does, without how.
//!
//! [`use_cases`] decide, [`ports`] say what they need from the world, [`Timeline`] remembers the
//! recent events in order, [`limits`] say how much one client may take, [`delivery`] hands each event
//! to the connections it concerns, [`wire`] is the JSON that all transports share, [`trace`] says which way
//! an event took, [`panics`] what becomes of a bug. Nothing here names a store, a protocol or a socket:
//! adapters depend on this crate, never the reverse.
//!
//! To add an event: a command and payload in the domain, a use case beside [`use_cases::BuyGood`].
//! To add a store or a transport: implement the ports in a crate of its own.

pub mod delivery;
pub mod limits;
pub mod panics;
pub mod ports;
pub mod trace;
pub mod use_cases;
pub mod wire;

mod expiry;
mod history_builder;
mod kick_queue;
mod record;
mod retention;
mod timeline;

pub use delivery::{
    Delivery, DeliveryConfig, DeliveryGone, DeliveryHandle, Joined, OutgoingEvent, PacketFormat,
    Recovery, Resume, start as start_delivery, start_kicks, start_seeded as start_delivery_seeded,
};
pub use expiry::Expiry;
pub use history_builder::HistoryBuilder;
pub use kick_queue::KickQueue;
pub use record::{EncodedPayload, NewEvent, PositionedEvent, RecordedEvent, RequestReceipt, Scope};
pub use retention::{ClassRetention, RetentionPolicy};
pub use timeline::{Missed, Timeline, TimelineLimits};
