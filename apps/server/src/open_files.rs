//! Room for the files that clients are: every connection is one.

use std::io::stderr;

use rustix::{
    io::fcntl_dupfd_cloexec,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use tracing::{debug, info};

/// What a node opens besides.
const OTHERS: u64 = 64;
/// What is made room for at most, half a megabyte in the kernel.
const LARGEST_TABLE: u64 = 65_536;

/// Makes room for so many TCP connections; 0 is no limit. Called before any thread is started.
///
/// Linux doubles the table of open files when it is full. If threads share it, the one that opened a
/// file waits for all processors to take note, some 10 ms, and whoever plays waits with it: so it is
/// made large enough in the beginning. The limit of files that a shell or container starts with is a
/// matter of old programs; it is raised as far as the process may.
pub(crate) fn make_room(connections: usize) {
    let needed = match u64::try_from(connections) {
        Ok(0) | Err(_) => LARGEST_TABLE,
        Ok(connections) => connections.saturating_add(OTHERS),
    };
    let Rlimit { mut current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < needed) {
        let raised = Some(maximum.map_or(needed, |maximum| maximum.min(needed)));
        if setrlimit(Resource::Nofile, Rlimit { current: raised, maximum }).is_ok() {
            current = raised;
        }
    }
    if let Some(allowed) = current.filter(|current| *current < needed) {
        info!(allowed, needed, "fewer open files than limits.tcp_connections: raise `ulimit -n`");
    }
    let last = needed.min(current.unwrap_or(needed)).min(LARGEST_TABLE).saturating_sub(1);
    // Closed at once; the table stays as large.
    let reserved = i32::try_from(last).map(|last| fcntl_dupfd_cloexec(stderr(), last));
    if let Ok(Err(error)) = reserved {
        debug!(%error, "the table of open files will grow while clients come in");
    }
}
