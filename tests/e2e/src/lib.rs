//! What end-to-end tests stand on: the real binary, a real etcd, stock Socket.IO clients, and the
//! validator that says whether what the clients saw is what the contract promises.
//!
//! This crate knows the public contract only, never a type of the gateway: it must keep working
//! whatever the gateway is made of. To add a client library, give it a driver that speaks the
//! protocol of `clients/node/driver.mjs` and a variant of [`Library`].
//!
//! Failures panic: everything here runs inside tests.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "test support: what cannot go on fails the test"
)]

mod admin_api;
mod balancer;
mod certificates;
mod client;
mod cluster;
mod collector;
mod connect_options;
mod dice;
mod driver;
mod etcd;
mod front;
mod fuzzer;
mod http;
mod link;
mod meddler;
mod polling;
mod port;
mod reader;
mod server;
mod settings;
mod signal;
mod token;
mod traffic;
mod vitals;

pub mod endure;
pub mod raw;
pub mod shape;
pub mod validator;

pub use admin_api::{API_TOKEN, AdminApi, ApiAnswer};
pub use balancer::{Balancer, Balancing};
pub use certificates::Certificates;
pub use client::{Client, Lifecycle, Received};
pub use cluster::{Cluster, ClusterOptions, Node};
pub use collector::{Collector, TracedSpan};
pub use connect_options::{ConnectOptions, Form, Namespace};
pub use dice::Dice;
pub use driver::{Driver, Library, Refused};
pub use etcd::{Etcd, RawKey};
pub use front::Front;
pub use fuzzer::{Fuzzed, fuzz};
pub use http::{Response, get, get_with_headers, request};
pub use link::{Flow, Link};
pub use meddler::{Fate, Meddler, Meddling, Plan};
pub use polling::Polling;
pub use port::free_port;
pub use reader::read_all;
pub use server::Server;
pub use settings::{Settings, Store};
pub use token::{SECRET, mint, mint_expired, mint_for, mint_with_secret, sign_claims};
pub use traffic::{Finished, Sent, Traffic, TrafficOptions, Verdict};
pub use vitals::Vitals;

/// How long a test waits for anything before it fails. Generous: the machine may be busy.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The names of the events.
pub mod event {
    /// Sent by the server once, before every domain event.
    pub const READY: &str = "core.game.connection.ready";
    /// To everybody in the sender's namespace.
    pub const BROADCAST: &str = "core.game.state.broadcast";
    /// To one player.
    pub const SEND_MESSAGE: &str = "core.game.state.send_message";
    /// A purchase.
    pub const BUY_GOOD: &str = "core.game.state.buy_good";
    /// A failure that nobody asked to be told of.
    pub const ERROR: &str = "error";
}
