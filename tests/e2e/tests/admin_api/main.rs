//! The operators' API on the admin port: real nodes, a real etcd, stock clients.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may fail"
)]

mod access;
mod description;
mod failures;
mod kicks;
mod listings;
mod nodes;
mod publishing;
