//! The adapter on a real etcd, which these tests start themselves.
#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod authentication;
mod contract;
mod leases;
mod nospace;
mod outage;
mod reconciliation;
mod refusals;
mod retention;
mod space;
mod support;
mod unreadable;
mod volume;
