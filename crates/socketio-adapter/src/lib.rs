//! The Socket.IO transport of the gateway: clients in, events in, events out.
//!
//! A request comes through `server` and `service` (hyper), which know the paths, to
//! socketioxide, which knows the protocol; `namespaces` decides who joins. A connection is a
//! `session`: its `inbox` keeps what it sends in order, `decode` finds its name and argument, which
//! the application carries out; `push` brings events to it, over `websocket` or the library's own
//! queue. What the library must not read as clients write it is changed before: `frame_filter` and
//! `polling_payload`, by `packet_head`. `wire` is what this transport adds to the public wire format.
//!
//! Never here: a decision that another transport would have to repeat, or a store. Another transport
//! is a crate like this one.

mod client_address;
mod config;
mod decode;
mod drain;
mod engine_session;
mod frame_filter;
#[cfg(test)]
mod fuzz;
mod gateway;
mod handshake;
mod http_stream;
mod idle_transport;
mod inbox;
mod library;
mod namespaces;
mod origin;
mod packet_head;
mod peer;
mod polling_payload;
mod push;
mod query;
mod series;
mod server;
mod service;
mod session;
mod turnstile;
mod upgrade;
mod websocket;
mod wire;

pub use config::{HttpConfig, LimitsConfig, RatesConfig};
pub use gateway::UseCases;
pub use server::SocketIoServer;
