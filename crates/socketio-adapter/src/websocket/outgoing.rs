//! What waits to be written to one client: the frames that the socket did not take, and those behind gates.

use std::{collections::VecDeque, io, task::Waker};

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;

use super::Gate;

/// Everything that waits, and whether more is taken.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Whole frames, but for the first, of which the beginning may be written already.
    pub(super) queue: VecDeque<Bytes>,
    /// Bytes in `queue`.
    pub(super) queued: usize,
    /// The gates that are held.
    pub(super) gates: Vec<(Gate, Vec<Bytes>)>,
    /// Bytes behind gates.
    pub(super) held: usize,
    /// The library is about to answer a probe that was answered already.
    pub(super) swallows_probe_answer: bool,
    /// Whether a task is writing the queue.
    pub(super) writing: bool,
    /// The library's writer, while it waits for room.
    pub(super) library: Option<Waker>,
    pub(super) state: State,
    /// Closed because the client took nothing for too long.
    pub(super) gave_up: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Open,
    /// Nothing more is taken; what is queued is still written.
    Finishing,
    Closed,
}

impl Outgoing {
    /// Notes why a write failed. The system, too, gives up on a client that takes nothing (`TCP_USER_TIMEOUT`).
    pub(super) fn note(&mut self, error: &io::Error) {
        self.gave_up |= error.kind() == io::ErrorKind::TimedOut;
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.queued + self.held
    }

    pub(super) fn queue(&mut self, frame: Bytes) {
        self.queued += frame.len();
        self.queue.push_back(frame);
    }

    /// Removes bytes that were written.
    pub(super) fn consume(&mut self, mut written: usize) {
        self.queued -= written;
        while written > 0 {
            let Some(front) = self.queue.front_mut() else { return };
            let part = written.min(front.len());
            front.advance(part);
            written -= part;
            if front.is_empty() {
                self.queue.pop_front();
            }
        }
    }
}

pub(super) fn write_vectored(tcp: &TcpStream, queue: &VecDeque<Bytes>) -> io::Result<usize> {
    /// How many frames one system call takes at most.
    const SLICES: usize = 64;
    let mut slices = [io::IoSlice::new(&[]); SLICES];
    let mut used = 0;
    for (slice, frame) in slices.iter_mut().zip(queue) {
        *slice = io::IoSlice::new(frame);
        used += 1;
    }
    tcp.try_write_vectored(slices.get(..used).unwrap_or_default())
}
