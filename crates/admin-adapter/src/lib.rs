//! The operators' port: is the node alive, may it get traffic, what is it doing.
//!
//! Players never reach this port and nothing here serves them. It asks the store through its
//! port, never through a driver, and gives every question a deadline: a node that hangs must say
//! so, not hang the probe as well.
//!
//! To add a check: [`Readiness`]. To add a metric: emit it where it happens, describe it in
//! `metrics.rs`.

mod config;
mod metrics;
mod readiness;
mod routes;
mod server;

pub use config::Config;
pub use metrics::{Metrics, MetricsError};
pub use readiness::{FeedAge, Readiness, Reason};
pub use server::{Listener, bind, serve};
