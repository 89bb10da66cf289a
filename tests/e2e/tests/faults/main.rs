//! Real processes, broken for real, under live traffic: nothing lost, nothing twice, nobody a ghost.
//!
//! Each scenario ends with the validator's verdict over what the clients received, against a final
//! read of the store past the gateway. `GAME_REALTIME_FAULTS=long` (`just test-faults`) breaks more
//! and for longer.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may fail"
)]

mod embedded;
mod etcd_cluster;
mod etcd_outage;
mod history;
mod leases;
mod link;
mod nodes;
mod probes;
mod requests;
mod turn;
