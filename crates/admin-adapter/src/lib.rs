//! The operators' port: is the node alive, may it get traffic, what is it doing; and, once a token
//! is configured, the API by which operators and a game's own servers take part.
//!
//! Players never reach this port. Probes and metrics ask the store through its port, never through
//! a driver, and give every question a deadline: a node that hangs must say so, not hang the probe
//! as well. What the API does is done by the use cases and ports that serve clients.
//!
//! To add a check: [`Readiness`]. To add a metric: emit it where it happens, describe it in
//! `metrics.rs`. To add something to the API: a path in `api/route.rs`, its description in
//! `api/openapi.json`; the compiler and the tests ask for the rest.

mod api;
mod config;
mod metrics;
mod readiness;
mod routes;
mod server;

pub use api::{Api, ApiParts, ApiToken, WeakToken};
pub use config::Config;
pub use metrics::{Metrics, MetricsError};
pub use readiness::{FeedAge, Readiness, Reason};
pub use server::{Listener, bind, serve};
