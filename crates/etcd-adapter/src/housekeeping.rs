//! Keeps etcd within its space for as long as it runs: prunes the log and receipts, compacts the
//! history. One node does it for all; the others stand by.
//!
//! `pruning` drops what is too old or too much: `plan` decides which segments of the log, `pressure` how
//! many bytes; `deletion` deletes them in bounded steps; `receipts` ends the leases of the oldest receipts;
//! `garbage` knows what was deleted and still takes space until the history is compacted.

mod deletion;
mod garbage;
mod housekeeper;
mod plan;
mod pressure;
mod pruning;
mod receipts;
mod report;
mod term;

pub(crate) use housekeeper::Housekeeper;
