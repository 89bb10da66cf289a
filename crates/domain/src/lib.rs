//! The rules of the game's real-time events, and nothing else.
//!
//! What is a connection, what are the three events, whom does each concern, what is a valid
//! command, what is a position in the one order of events. This crate is `no_std`, has no async
//! code, reads no clock and does no I/O: time and identifiers come in as values.
//!
//! To add an event, copy `buy_good.rs`, add a variant to [`EventType`] and follow the compiler:
//! every match on it is exhaustive.
#![no_std]

extern crate alloc;

mod author;
mod broadcast;
mod buy_good;
mod connection;
mod count;
mod event;
#[cfg(test)]
mod fuzz;
mod limits;
mod namespace;
mod position;
mod request_id;
mod route;
mod send_message;
mod timestamp;
mod user_id;

pub use author::Author;
pub use broadcast::{Broadcast, BroadcastCommand};
pub use buy_good::{BuyGood, BuyGoodCommand};
pub use connection::{Connection, ConnectionId, NodeId};
pub use count::whole;
pub use event::{
    Event, EventId, EventType, Payload, PerClass, RetentionClass, Sender, UnknownEventType,
};
pub use limits::CommandLimits;
pub use namespace::{Namespace, UnknownNamespace};
pub use position::{Cursor, Epoch, InvalidCursor, Position};
pub use request_id::RequestId;
pub use route::{Recipient, Route};
pub use send_message::{SendMessage, SendMessageCommand};
pub use timestamp::Timestamp;
pub use user_id::{InvalidUserId, UserId};
