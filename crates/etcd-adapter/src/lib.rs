//! The ports on etcd: connection registry, event log and feed, for any number of nodes.
//!
//! [`EtcdStore`] builds the parts. Everything a node writes goes through two tasks (`writer`) in
//! transactions that fill up while the last is on its way (`batch`); everything it hears comes
//! through one watch (`event_feed`). `keys` is the only home of keys, `records` of stored
//! formats. What a node registers hangs on its `leases`, which `keeper` keeps alive
//! and `mender` puts right; `housekeeping` forgets what is old, and keeps etcd within its space. Orders to end connections are keys of their
//! own (`kick_orders`), which every node listens to (`kick_listener`). What it means that etcd refuses a
//! call is one table (`cluster::refusal`).
//!
//! Never here: what an event means. A new event type needs one arm in `keys`.

mod batch;
mod cluster;
mod config;
mod connection_pages;
mod connection_repository;
mod epoch;
mod event_feed;
mod feed_stream;
#[cfg(test)]
mod fuzz;
mod health;
mod heard_orders;
mod housekeeping;
mod jitter;
mod keeper;
mod keys;
mod kick_listener;
mod kick_orders;
mod leases;
mod live_watch;
mod local_registry;
mod log;
mod mender;
mod receipt_leases;
mod reconciler;
mod records;
mod space;
mod store;
mod write_queue;
mod writer;

pub use cluster::TlsFileError;
pub use config::{Config, TlsConfig};
pub use store::{EtcdStore, Options};
