//! Where log lines wait for the standard output: a bounded buffer, and the one thread that empties it.
//!
//! Another process reads the standard output, and may stop reading or end. The node must not notice:
//! appending a line never waits for the reader. A line that does not fit or cannot be written is
//! dropped and counted.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustix::io::{Errno, write};
use tracing::warn;

/// How much waits for a reader that does not keep up, some 600 connections' lines.
const CAPACITY: usize = 256 * 1024;
/// How long the last lines may take when the process ends. A reader that is there needs less.
const LAST_LINES: Duration = Duration::from_millis(300);
/// When to try again, if the standard output takes nothing and does not block either: another process
/// may have made a pipe that it shares with this one non-blocking.
const RETRY: Duration = Duration::from_millis(10);

/// The log lines that are to be written.
#[derive(Default)]
pub(crate) struct LogOutput {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Whole lines.
    text: Vec<u8>,
    /// Whether the thread is writing earlier ones.
    writing: bool,
    /// Lines that were dropped since the log said so last.
    dropped: u64,
}

impl LogOutput {
    /// Starts the thread that writes. It ends with the process.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        let output = Arc::clone(self);
        let thread = thread::Builder::new().name("log".to_owned());
        thread.spawn(move || output.write_lines()).map(drop)
    }

    /// Waits for what was logged so far to be written, unless the reader is too slow.
    pub(crate) fn flush(&self) {
        let waiting = self.lock();
        let unwritten = |waiting: &mut Waiting| waiting.writing || !waiting.text.is_empty();
        drop(self.emptied.wait_timeout_while(waiting, LAST_LINES, unwritten));
    }

    fn write_lines(&self) {
        let mut batch = Vec::new();
        // Whether the last line was written in part.
        let mut cut = false;
        let mut taken = true;
        loop {
            self.next_batch(&mut batch);
            if taken {
                // The lines that are missing come after this batch, which made room for saying so.
                self.report_dropped();
            }
            if cut && write_all(b"\n") > 0 {
                cut = false;
            }
            let written = if cut { 0 } else { write_all(&batch) };
            let (done, lost) = batch.split_at(written);
            cut |= done.last().is_some_and(|last| *last != b'\n');
            taken = lost.is_empty();
            self.count_dropped(lines(lost));
        }
    }

    /// Waits for lines and takes them all.
    fn next_batch(&self, batch: &mut Vec<u8>) {
        batch.clear();
        let mut waiting = self.lock();
        waiting.writing = false;
        if waiting.text.is_empty() {
            self.emptied.notify_all();
        }
        let empty = |waiting: &mut Waiting| waiting.text.is_empty();
        let mut waiting =
            self.filled.wait_while(waiting, empty).unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut waiting.text, batch);
        waiting.writing = true;
    }

    fn count_dropped(&self, lines: u64) {
        if lines > 0 {
            self.lock().dropped += lines;
            metrics::counter!("game_realtime_log_lines_dropped_total").increment(lines);
        }
    }

    /// Says in the log that lines are missing there.
    fn report_dropped(&self) {
        let dropped = std::mem::take(&mut self.lock().dropped);
        if dropped > 0 {
            warn!(dropped, "log lines are missing, they were not read in time");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one log line with each call, or drops it.
impl io::Write for &LogOutput {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.lock();
        if waiting.text.len().saturating_add(line.len()) > CAPACITY {
            drop(waiting);
            self.count_dropped(1);
        } else {
            let wakes = waiting.text.is_empty();
            waiting.text.extend_from_slice(line);
            drop(waiting);
            if wakes {
                self.filled.notify_one();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to the standard output, and says how much of `text` it took.
///
/// Without the library's buffer: a thread that waits for the reader would hold its lock.
fn write_all(text: &[u8]) -> usize {
    let mut written = 0;
    while let Some(rest) = text.get(written..).filter(|rest| !rest.is_empty()) {
        match write(io::stdout(), rest) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => thread::sleep(RETRY),
            Err(_) => break,
        }
    }
    written
}

fn lines(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').map(|_| 1).sum()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn lines_that_do_not_fit_are_dropped_whole_and_counted() {
        let output = LogOutput::default();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..CAPACITY / line.len() + 3 {
            (&output).write_all(&line).unwrap();
        }
        let waiting = output.lock();
        assert_eq!(waiting.text.len(), CAPACITY);
        assert_eq!(waiting.dropped, 3);
    }

    #[test]
    fn nobody_waits_for_lines_that_nobody_reads() {
        let output = LogOutput::default();
        (&output).write_all(b"first\n").unwrap();
        output.flush();
        assert_eq!(output.lock().text, b"first\n");
    }
}
