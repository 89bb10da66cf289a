//! What one connection has sent and is not answered yet: in order, bounded, and without a task
//! while nothing waits.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use game_realtime_application::limits::InFlightPermit;
use socketioxide::handler::Value;
use tokio::{sync::Notify, time::Instant};

/// An event as it came in.
pub(crate) struct Incoming {
    /// `["name", argument]`, undecoded.
    pub(crate) data: Value,
    /// The client's callback, if it gave one.
    pub(crate) acknowledgement: Option<i64>,
    pub(crate) received_at: Instant,
    /// What it takes of the node, from when it is let in until it is carried out.
    pub(crate) permit: Option<InFlightPermit>,
}

impl Incoming {
    /// The bytes that the client sent.
    pub(crate) fn size(&self) -> usize {
        match &self.data {
            Value::Str(text, attachments) => {
                text.len() + attachments.iter().flatten().map(bytes::Bytes::len).sum::<usize>()
            }
            Value::Bytes(bytes) => bytes.len(),
        }
    }
}

/// The events of one connection that wait for their turn.
pub(crate) struct Inbox {
    limit: usize,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Incoming>,
    bytes: usize,
    /// Whether a worker takes events out.
    worked: bool,
    congested: bool,
}

/// What became of an event that was offered.
pub(crate) enum Offered {
    /// It waits.
    Queued {
        /// No worker is at it: the caller has to start one.
        start_worker: bool,
        /// The inbox has just become full.
        congested: bool,
        /// It is full: reading should stop.
        full: bool,
    },
    /// There is no room; it has to be answered at once.
    Refused(Incoming),
}

/// The next event for the worker.
pub(crate) struct Taken {
    pub(crate) event: Incoming,
    /// The inbox is no longer full: reading can go on.
    pub(crate) relieved: bool,
}

impl Inbox {
    /// What can be read from a client before reading stops, as a multiple of the limit: one
    /// polling request holds many events, and all of them arrive at once.
    const HARD_LIMIT: usize = 16;
    /// No more bytes wait than this many, whatever their number.
    const BYTES: usize = 1 << 20;

    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), arrived: Notify::new() }
    }

    pub(crate) fn offer(&self, event: Incoming) -> Offered {
        let mut state = self.lock();
        let size = event.size();
        if state.waiting.len() >= self.limit * Self::HARD_LIMIT || state.bytes + size > Self::BYTES
        {
            return Offered::Refused(event);
        }
        state.bytes += size;
        state.waiting.push_back(event);
        let congested = !state.congested && state.waiting.len() >= self.limit;
        state.congested |= congested;
        let full = state.congested;
        self.arrived.notify_one();
        let start_worker = !std::mem::replace(&mut state.worked, true);
        Offered::Queued { start_worker, congested, full }
    }

    pub(crate) fn take(&self) -> Option<Taken> {
        let mut state = self.lock();
        let event = state.waiting.pop_front()?;
        state.bytes -= event.size();
        let relieved = state.congested && state.waiting.len() <= self.limit / 2;
        state.congested &= !relieved;
        Some(Taken { event, relieved })
    }

    /// Waits until there may be something to take.
    pub(crate) async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Lets the worker go if nothing waits; otherwise it has to go on.
    pub(crate) fn retire(&self) -> bool {
        let mut state = self.lock();
        let idle = state.waiting.is_empty();
        if idle {
            state.worked = false;
            state.waiting.shrink_to_fit();
        }
        idle
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
