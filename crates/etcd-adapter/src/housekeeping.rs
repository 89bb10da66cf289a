//! Keeps etcd within its space for as long as it runs: prunes the log and receipts, compacts the
//! history. One node does it for all; the others stand by.
//!
//! `plan` decides which segments of the log may go, by age and by space in use; `deletion` deletes
//! them in bounded steps; `receipts` lets go of the oldest receipts; `garbage` knows what was deleted
//! and still takes space until the history is compacted.

mod deletion;
mod garbage;
mod housekeeper;
mod plan;
mod receipts;
mod report;
mod term;

pub(crate) use housekeeper::Housekeeper;
