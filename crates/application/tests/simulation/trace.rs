//! What happened, line by line: two runs of one seed have to agree on all of it.

use std::{
    fmt::{Arguments, Write as _},
    hash::{DefaultHasher, Hasher as _},
    sync::Mutex,
};

use tokio::time::Instant;

/// A digest of every line, and the lines themselves if somebody wants to read them.
pub(crate) struct Trace {
    started: Instant,
    state: Mutex<State>,
}

struct State {
    // A new DefaultHasher is the same one every time, unlike a RandomState's.
    digest: DefaultHasher,
    line: String,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(started: Instant, keep_lines: bool) -> Self {
        let lines = keep_lines.then(Vec::new);
        let state = State { digest: DefaultHasher::new(), line: String::new(), lines };
        Self { started, state: Mutex::new(state) }
    }

    pub(crate) fn note(&self, what: Arguments<'_>) {
        let mut state = self.state.lock().unwrap();
        let State { digest, line, lines } = &mut *state;
        line.clear();
        write!(line, "{:>6} ", self.started.elapsed().as_millis()).unwrap();
        line.write_fmt(what).unwrap();
        digest.write(line.as_bytes());
        if let Some(lines) = lines {
            lines.push(line.clone());
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.state.lock().unwrap().digest.finish()
    }

    pub(crate) fn take_lines(&self) -> Vec<String> {
        self.state.lock().unwrap().lines.take().unwrap_or_default()
    }
}
