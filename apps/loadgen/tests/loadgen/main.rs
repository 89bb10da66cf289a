//! The load generator against the real gateway, and against servers that do what it has to notice.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: what cannot go on fails the test"
)]

mod faults;
mod misbehaving;
mod program;
mod scenarios;
mod usage;
