//! The Socket.IO transport of the gateway: clients in, events in, events out.
//!
//! A request comes through `server` and `service` (hyper), which know the paths, to
//! socketioxide, which knows the protocol; `namespaces` decides who joins. A connection is a
//! `session`: its `inbox` keeps what it sends in order, `decode` and `events` turn that
//! into use cases, `push` brings events to it, over `websocket` or the library's own queue.
//! `wire` is the only home of wire names, `error_code` the only map from failures to codes.
//!
//! Never here: a decision that another transport would have to repeat, or a store. A new event
//! needs an arm in `events`; another transport is a crate like this one.

mod client_address;
mod config;
mod decode;
mod drain;
mod engine_session;
mod error_code;
mod events;
#[cfg(test)]
mod fuzz;
mod gateway;
mod idle_transport;
mod inbox;
mod legacy_connect;
mod library;
mod namespaces;
mod origin;
mod peer;
mod push;
mod query;
mod series;
mod server;
mod service;
mod session;
mod turnstile;
mod websocket;
mod wire;

pub use config::{HttpConfig, LimitsConfig, RatesConfig};
pub use events::Events;
pub use gateway::UseCases;
pub use server::SocketIoServer;
