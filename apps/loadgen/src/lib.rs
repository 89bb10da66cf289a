//! A load generator for Socket.IO servers.
//!
//! Opens many connections (WebSocket, Engine.IO 4) to one node or several, sends events, and accounts
//! for each of them: what was lost, doubled or out of order is counted, and latencies are measured from
//! when an event *should* have been sent, so that a server which stalls does not hide what it delays.
//!
//! It knows nothing of the gateway but what clients may know, and all of that is in its
//! [`dialect::Dialect`]: it measures any other Socket.IO server as well. One thread, one loop, and of a
//! delivery no more is read than its stamp and its cursor, so that it costs less than what it measures.
//!
//! To add a scenario: a variant of [`plan::Scenario`], and what it does in `load.rs`.

pub mod cli;
pub mod clock;
pub mod connection;
pub mod credentials;
pub mod dialect;
mod dice;
pub mod frame;
pub mod latency;
mod ledger;
mod load;
mod meter;
pub mod open_files;
mod opening;
pub mod pace;
pub mod packet;
pub mod plan;
pub mod process;
mod progress;
mod receiver;
pub mod report;
pub mod seen;
pub mod stamp;
pub mod swarm;
mod timer;
mod witness;

pub use load::run;
