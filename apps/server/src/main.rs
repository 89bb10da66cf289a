//! The `game-realtime` binary.
//!
//! Reads its configuration, then does what the command line asks: mostly to serve, wired up in
//! `serve.rs`.

mod banner;
mod cli;
mod clock;
mod commands;
mod config;
mod log_output;
mod open_files;
mod panic_hook;
mod serve;
mod signals;
mod standard_error;
mod telemetry;
mod usage_error;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

use crate::usage_error::UsageError;

// Some 15 % less CPU per delivery than the system's allocator, and as much more memory per
// connection (`just bench` compares them).
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            commands::complain(&error);
            ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
        }
    }
}
