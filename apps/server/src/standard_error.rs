//! What is said on the standard error: to another process, which may not be reading.

use std::{
    io::{self, Write as _},
    sync::mpsc::sync_channel,
    thread,
    time::Duration,
};

/// Writes `text`, and waits for that as long as `patience` allows: the reader may have stalled.
pub(crate) fn say(text: String, patience: Duration) {
    let (done, written) = sync_channel(1);
    let write = move || {
        // If nobody can be told, there is nobody to tell that either.
        io::stderr().write_all(text.as_bytes()).ok();
        done.send(()).ok();
    };
    if thread::Builder::new().name("standard error".to_owned()).spawn(write).is_ok() {
        written.recv_timeout(patience).ok();
    }
}
