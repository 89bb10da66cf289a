//! The ports on redb: one file, one node, nothing else to run.
//!
//! One thread writes (`writer.rs`): while one transaction reaches the disk, the next batch gathers.
//! Everything else reads snapshots. An answer means that the event is on the disk.
//!
//! - An event's place in the order is a number, one greater than the one before; its position is
//!   `(number, 1)`. The epoch is made together with the file and lives as long.
//! - The registry of connections is kept in memory: an entry lives no longer than its node, and
//!   there is only this one.
//! - The file belongs to one process at a time.
//!
//! - The file stays within its budget (`space.rs`): the writer prunes by space as well as by age, in
//!   every transaction a bounded step (`writer/pruning.rs`).
//!
//! This crate must never answer before the commit, never hold two transactions that write, and
//! never serve a record whose seal or number is wrong.
//!
//! To change what is stored: `records.rs` holds the formats, `tables.rs` the tables and keys, and
//! nothing else knows either. The contract suites are stamped in `tests/contract.rs`.

mod config;
mod connection_repository;
mod database;
mod event_feed;
mod event_log;
mod event_repository;
mod fault;
mod file;
#[cfg(test)]
mod fuzz;
mod kick_orders;
mod ledger;
mod open_error;
mod parts;
mod positions;
mod records;
mod registry;
mod space;
mod store;
mod store_health;
mod tables;
#[cfg(test)]
mod tests;
mod unreadable;
mod upgrade;
mod writer;

pub use config::Config;
pub use connection_repository::EmbeddedConnectionRepository;
pub use event_feed::EmbeddedEventFeed;
pub use event_repository::EmbeddedEventRepository;
pub use kick_orders::EmbeddedKickOrders;
pub use open_error::OpenError;
pub use store::EmbeddedStore;
pub use store_health::EmbeddedStoreHealth;
