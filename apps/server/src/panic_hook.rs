//! What is said of a panic: that there was one, and where. Never what it says itself, for that may be
//! somebody's words.

use std::{panic, thread};

use tracing::error;

/// Counts every panic of the process from now on, and logs where it was.
pub(crate) fn install() {
    panic::set_hook(Box::new(|panic| {
        metrics::counter!("game_realtime_panics_total").increment(1);
        let location = panic.location().map(ToString::to_string);
        error!(location, thread = thread::current().name(), "panicked");
    }));
}
