//! Signals to processes that the tests have started.

use std::process::{Child, Command};

/// Sends a signal, e.g. `STOP`.
pub(crate) fn signal(process: &Child, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &process.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(status.success(), "kill -{name} failed");
}
