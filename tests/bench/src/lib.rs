//! Benchmarks: the gateway beside what it is built on, in one run on one machine.
//!
//! One program each: `group-commit`, `fan-out`, `idle-memory`, `resume`; `just bench` builds and runs them.
//! What is compared takes turns, round by round, so that a busy machine is unfair to both sides
//! alike: trust the ratios, not the absolute figures. In the next two, server and clients are
//! processes of their own: a [`subject::Subject`] is served by a [`server::Server`], and the load
//! generator puts [`load`] on it. The baseline is [`bare`] socketioxide.
//!
//! `peers/run` (`just bench-peers`) compares the gateway with other servers; its programs `floor` and
//! `bare-socketioxide` are two of them.
//!
//! Failures panic: a measurement that is not complete is none.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "benchmarks: what cannot go on ends the program, and the result goes to stdout"
)]

pub mod bare;
pub mod load;
pub mod process;
pub mod server;
pub mod statistics;
pub mod subject;
pub mod table;

/// How often everything is measured: `BENCH_ROUNDS`, if set, or as said.
#[must_use]
pub fn rounds(default: usize) -> usize {
    std::env::var("BENCH_ROUNDS").ok().map_or(default, |rounds| {
        rounds.parse().unwrap_or_else(|_| panic!("BENCH_ROUNDS is not a number: {rounds}"))
    })
}
