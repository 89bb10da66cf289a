//! What clients can ask for: one struct, one method each.
//!
//! A command reaches a use case only as [`garde::Valid`]: validated, or not at all.

mod broadcast;
mod buy_good;
mod connect;
mod disconnect;
mod publisher;
mod send_message;

pub use broadcast::Broadcast;
pub use buy_good::BuyGood;
pub use connect::{Connect, ConnectError, Connected};
pub use disconnect::Disconnect;
pub use publisher::{Allowed, PublishError, Publisher};
pub use send_message::SendMessage;
