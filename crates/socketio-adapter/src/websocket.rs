//! One client's WebSocket: the TCP connection under socketioxide, with a second way in.
//!
//! socketioxide writes its own packets (handshake, pings, everything that is rare) through
//! [`WebSocketStream`]. Events are written beside it, as frames that were encoded once for all
//! recipients, by [`Transport::push`]: straight into the socket if nothing waits, else into a
//! queue that is bounded in bytes and written by a task while the client reads. So a delivery costs
//! one system call and no task switch, and a client that does not read holds up nobody. Several
//! events in a row are [queued](Transport::queue) and [flushed](Transport::flush) in one call.
//!
//! Both ways meet in the order of their packets through *gates*. A connection that moves from
//! the library's queue to this one holds its gate: frames pushed from then on wait behind it. A
//! mark is sent through the library; everything the library had queued is written before the
//! mark is. When the mark comes by it is dropped, and the gate opens.

mod frame;
#[cfg(test)]
mod fuzz;
mod outgoing;
mod pause;
mod probe;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes};
use game_realtime_application::{
    panics::{caught, panic_point},
    ports::{ConnectionGone, PushOutcome},
};
use socket2::SockRef;
use tokio::{net::TcpStream, sync::Notify, time::timeout};
use tokio_util::task::TaskTracker;

use self::{
    outgoing::{Outgoing, State, write_vectored},
    pause::Pauses,
};
use crate::peer::Slot;

pub(crate) use frame::{CLOSE_GOING_AWAY, text_frame};
pub(crate) use pause::Pause;
pub(crate) use probe::{Probe, Upgraded};
pub(crate) use stream::WebSocketStream;

/// The event name of marks. They never leave the node.
pub(crate) const MARK: &str = "core.game.connection.mark";

/// How long a client may take to read what is queued when its transport ends.
const LAST_WRITES: Duration = Duration::from_secs(1);

/// One of the connections that share a transport.
pub(crate) type Gate = u32;

/// The shared state of one WebSocket.
pub(crate) struct Transport {
    tcp: TcpStream,
    /// The place of `tcp` among the connections of the node.
    _slot: Slot,
    buffer_bytes: usize,
    write_timeout: Duration,
    tasks: TaskTracker,
    outgoing: Mutex<Outgoing>,
    reading: Mutex<Reading>,
    /// Bytes have left the queue, or the transport is closed.
    progress: Notify,
}

#[derive(Default)]
struct Reading {
    pauses: Pauses,
    /// Nothing more is read: the system would give what still comes in, even after a shutdown.
    ended: bool,
    /// The library's reader, while it waits for the pauses to end.
    reader: Option<Waker>,
}

impl Transport {
    pub(crate) fn new(
        tcp: TcpStream,
        slot: Slot,
        buffer_bytes: usize,
        write_timeout: Duration,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            tcp,
            _slot: slot,
            buffer_bytes,
            write_timeout,
            tasks,
            outgoing: Mutex::default(),
            reading: Mutex::default(),
            progress: Notify::new(),
        })
    }

    /// Begins with what the library had queued for the client's next poll. It will answer a probe next,
    /// which was answered already.
    pub(crate) fn begin_after_polling(self: &Arc<Self>, packets: &[String]) {
        let mut outgoing = self.lock();
        outgoing.swallows_probe_answer = true;
        for packet in packets {
            self.write(&mut outgoing, text_frame(&[packet]));
        }
    }

    /// Holds a gate: what is pushed through it waits until its mark has come by.
    pub(crate) fn hold(&self, gate: Gate) {
        self.lock().gates.push((gate, Vec::new()));
    }

    /// Takes back a [`hold`](Self::hold) whose mark could not be sent.
    pub(crate) fn release(self: &Arc<Self>, gate: Gate) {
        let mut outgoing = self.lock();
        self.open(&mut outgoing, gate);
    }

    /// Takes a whole frame, or nothing.
    pub(crate) fn push(self: &Arc<Self>, gate: Gate, frame: &Bytes) -> PushOutcome {
        self.take(gate, frame, |outgoing| self.write(outgoing, frame.clone()))
    }

    /// As [`push`](Self::push), to be written with the next [`flush`](Self::flush).
    pub(crate) fn queue(self: &Arc<Self>, gate: Gate, frame: &Bytes) -> PushOutcome {
        self.take(gate, frame, |outgoing| outgoing.queue(frame.clone()))
    }

    /// Writes what is queued, as far as the socket takes it; the rest when it can.
    pub(crate) fn flush(self: &Arc<Self>) {
        let mut outgoing = self.lock();
        if !outgoing.writing {
            self.write_queue(&mut outgoing);
            self.write_on(&mut outgoing);
        }
    }

    fn take(&self, gate: Gate, frame: &Bytes, write: impl FnOnce(&mut Outgoing)) -> PushOutcome {
        let mut outgoing = self.lock();
        match outgoing.state {
            State::Open => {}
            State::Finishing | State::Closed => return PushOutcome::Gone,
        }
        // A frame is taken by an empty queue however large it is, or it would never be.
        let waiting = outgoing.waiting();
        if waiting > 0 && waiting + frame.len() > self.buffer_bytes {
            return PushOutcome::Full;
        }
        if let Some((_, held)) = outgoing.gates.iter_mut().find(|(held, _)| *held == gate) {
            held.push(frame.clone());
            outgoing.held += frame.len();
        } else {
            write(&mut outgoing);
        }
        PushOutcome::Taken
    }

    /// Waits until half of the buffer is free.
    pub(crate) async fn writable(&self) -> Result<(), ConnectionGone> {
        loop {
            let progress = self.progress.notified();
            {
                let outgoing = self.lock();
                match outgoing.state {
                    State::Open if outgoing.waiting() <= self.buffer_bytes / 2 => return Ok(()),
                    State::Open => {}
                    State::Finishing | State::Closed => return Err(ConnectionGone),
                }
            }
            timeout(self.write_timeout, progress).await.map_err(|_| ConnectionGone)?;
        }
    }

    /// Says goodbye and closes once everything queued is written, or at the latest after
    /// [`LAST_WRITES`].
    pub(crate) fn finish(self: &Arc<Self>) {
        let mut outgoing = self.lock();
        if outgoing.state != State::Open {
            return;
        }
        self.write(&mut outgoing, Bytes::from_static(CLOSE_GOING_AWAY));
        self.end(&mut outgoing);
        if outgoing.state == State::Finishing {
            let transport = Arc::clone(self);
            self.tasks.spawn(async move {
                let finished = async {
                    loop {
                        let progress = transport.progress.notified();
                        if transport.lock().state == State::Closed {
                            return;
                        }
                        progress.await;
                    }
                };
                if timeout(LAST_WRITES, finished).await.is_err() {
                    transport.abort();
                }
            });
        }
    }

    /// Closes at once; what is queued is lost.
    pub(crate) fn abort(&self) {
        let mut outgoing = self.lock();
        self.close(&mut outgoing);
    }

    /// Whether it was closed because the client took nothing for too long.
    pub(crate) fn gave_up(&self) -> bool {
        self.lock().gave_up
    }

    /// Waits until there is something to read, or the end, or `limit` is over.
    pub(crate) async fn readable(&self, limit: Duration) {
        // Whoever reads next sees what is the matter.
        timeout(limit, self.tcp.peek(&mut [0])).await.ok();
    }

    /// Stops reading from the client, until [`resume_reading`](Self::resume_reading) with each reason.
    pub(crate) fn pause_reading(&self, reason: Pause) {
        self.lock_reading().pauses.add(reason);
    }

    /// Ends a pause. Reading goes on if there is no other reason against it.
    pub(crate) fn resume_reading(&self, reason: Pause) {
        let mut reading = self.lock_reading();
        reading.pauses.remove(reason);
        if !reading.pauses.any()
            && let Some(reader) = reading.reader.take()
        {
            reader.wake();
        }
    }

    fn end_reading(&self) {
        let mut reading = self.lock_reading();
        reading.ended = true;
        if let Some(reader) = reading.reader.take() {
            reader.wake();
        }
    }

    fn lock_reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes as much as the socket takes and queues the rest.
    fn write(self: &Arc<Self>, outgoing: &mut Outgoing, mut frame: Bytes) {
        if outgoing.queue.is_empty() {
            match self.tcp.try_write(&frame) {
                Ok(written) => frame.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return self.close(outgoing),
            }
        }
        if !frame.is_empty() {
            outgoing.queue(frame);
            self.write_on(outgoing);
        }
    }

    /// Lets a task write the queue, unless there is none or one does already.
    fn write_on(self: &Arc<Self>, outgoing: &mut Outgoing) {
        if !outgoing.writing && !outgoing.queue.is_empty() {
            outgoing.writing = true;
            let transport = Arc::clone(self);
            self.tasks.spawn(async move {
                if caught(Arc::clone(&transport).write_until_empty()).await.is_err() {
                    transport.abort();
                }
            });
        }
    }

    /// Closes the transport if the client takes nothing for `write_timeout`.
    async fn write_until_empty(self: Arc<Self>) {
        panic_point("socket");
        loop {
            let writable = timeout(self.write_timeout, self.tcp.writable()).await;
            let mut outgoing = self.lock();
            outgoing.gave_up |= writable.is_err();
            if !matches!(writable, Ok(Ok(()))) {
                self.close(&mut outgoing);
            }
            self.write_queue(&mut outgoing);
            outgoing.writing = !outgoing.queue.is_empty();
            if let Some(library) = outgoing.library.take() {
                library.wake();
            }
            self.progress.notify_waiters();
            if !outgoing.writing {
                return;
            }
        }
    }

    /// Writes as much of the queue as the socket takes now.
    fn write_queue(&self, outgoing: &mut Outgoing) {
        while outgoing.state != State::Closed && !outgoing.queue.is_empty() {
            match write_vectored(&self.tcp, &outgoing.queue) {
                Ok(written) => outgoing.consume(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    outgoing.note(&error);
                    self.close(outgoing);
                }
            }
        }
        // An idle connection keeps no room for a queue.
        outgoing.queue = VecDeque::new();
        if outgoing.state == State::Finishing {
            self.close(outgoing);
        }
    }

    /// What the library writes: whole frames, as it encodes them.
    fn write_library(
        self: &Arc<Self>,
        context: &Context<'_>,
        frames: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut outgoing = self.lock();
        match outgoing.state {
            State::Open => {}
            State::Finishing | State::Closed => {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        // Not for what is behind a gate: its mark comes this way.
        if outgoing.queued > self.buffer_bytes {
            outgoing.library = Some(context.waker().clone());
            return Poll::Pending;
        }
        let taken = frames.len();
        let mut rest = frames;
        if outgoing.swallows_probe_answer {
            outgoing.swallows_probe_answer = false;
            rest = frame::without_probe_answer(frames);
        }
        while !outgoing.gates.is_empty() {
            let Some((mark, gate)) = frame::find_mark(rest) else { break };
            let (before, after) = (rest.get(..mark.start), rest.get(mark.end..));
            if let Some(before) = before.filter(|before| !before.is_empty()) {
                self.write(&mut outgoing, Bytes::copy_from_slice(before));
            }
            self.open(&mut outgoing, gate);
            rest = after.unwrap_or_default();
        }
        if !rest.is_empty() {
            self.write(&mut outgoing, Bytes::copy_from_slice(rest));
        }
        Poll::Ready(Ok(taken))
    }

    fn open(self: &Arc<Self>, outgoing: &mut Outgoing, gate: Gate) {
        if let Some(index) = outgoing.gates.iter().position(|(held, _)| *held == gate) {
            let (_, frames) = outgoing.gates.swap_remove(index);
            for frame in frames {
                outgoing.held -= frame.len();
                self.write(outgoing, frame);
            }
        }
    }

    /// Takes nothing more and closes when the queue is written.
    fn end(self: &Arc<Self>, outgoing: &mut Outgoing) {
        if outgoing.state == State::Open {
            outgoing.state = State::Finishing;
            if outgoing.queue.is_empty() {
                self.close(outgoing);
            }
            self.write_on(outgoing);
        }
    }

    fn close(&self, outgoing: &mut Outgoing) {
        let socket = SockRef::from(&self.tcp);
        if !outgoing.queue.is_empty() {
            // What the client has not read by now it shall not get: reset, and free the kernel's
            // buffer at once. (A failure means that the socket is closed already.)
            socket.set_linger(Some(Duration::ZERO)).ok();
        }
        outgoing.state = State::Closed;
        outgoing.queue.clear();
        outgoing.gates.clear();
        outgoing.queued = 0;
        outgoing.held = 0;
        socket.shutdown(std::net::Shutdown::Both).ok();
        if let Some(library) = outgoing.library.take() {
            library.wake();
        }
        self.end_reading();
        self.progress.notify_waiters();
    }
}
