//! The part of the public contract that every way in and out shares: how what was sent becomes a
//! command, what is answered, the error codes, and what an event looks like. A transport adds
//! only what its own protocol asks for.

mod answer;
mod command;
mod error_code;
mod event_body;
mod events;
#[cfg(test)]
mod fuzz;
mod time;

pub use answer::Answer;
pub use command::command;
pub use error_code::{ErrorCode, Failure, FieldFault};
pub use event_body::event_body;
pub use events::{Events, count_event};
pub use time::rfc3339;
