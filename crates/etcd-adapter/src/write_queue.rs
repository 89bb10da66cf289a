//! The way to the writers, with a deadline.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use game_realtime_application::ports::StoreError;
use game_realtime_domain::ConnectionId;
use tokio::{
    sync::{mpsc, mpsc::error::TrySendError, oneshot},
    time::timeout,
};

use crate::batch::Write;

/// Writers of a node, each with one transaction on its way: etcd takes the next one while it makes
/// the last one durable, and one writer alone leaves it idle meanwhile. Two commit a fifth more than
/// one; a third adds nothing (512 events in flight in transactions of up to 120, etcd and node on
/// two cores).
const LANES: usize = 2;

/// What the lanes are called in metrics.
const LANE_NAMES: [&str; LANES] = ["even", "odd"];

/// Events, and registrations, that wait in a lane; beyond it they are refused. Some ten full
/// transactions' worth for every second that a client is ready to wait.
const LANE: usize = 8192;

/// What is written for one connection always takes the same lane, so it stays in order.
pub(crate) type Lanes = [Lane; LANES];

/// Events and registrations wait apart, so that a crowd that comes in does not hold up who plays.
/// Nothing is lost of the order: who sends has been told of its registration, and is taken out of the
/// registry after its events.
pub(crate) struct Lane {
    events: mpsc::Sender<Write>,
    pub(crate) registrations: mpsc::Sender<Write>,
}

/// The end of a lane.
pub(crate) struct Queue {
    pub(crate) events: mpsc::Receiver<Write>,
    pub(crate) registrations: mpsc::Receiver<Write>,
}

impl Lane {
    fn new() -> (Self, Queue) {
        let (events, queued_events) = mpsc::channel(LANE);
        let (registrations, queued_registrations) = mpsc::channel(LANE);
        let queue = Queue { events: queued_events, registrations: queued_registrations };
        (Self { events, registrations }, queue)
    }

    fn of(&self, write: &Write) -> &mpsc::Sender<Write> {
        match write {
            Write::Append { .. } => &self.events,
            Write::Register { .. } | Write::Unregister { .. } => &self.registrations,
        }
    }
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.events.len() + self.registrations.len()
    }

    /// Takes nothing more in.
    pub(crate) fn close(&mut self) {
        self.events.close();
        self.registrations.close();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.events.is_closed()
    }
}

#[derive(Clone)]
pub(crate) struct WriteQueue {
    lanes: Arc<Lanes>,
    pub(crate) request_timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("not written within {0:?}")]
    TimedOut(Duration),
    #[error("too many writes are waiting")]
    Overloaded,
    #[error("the store is closed")]
    Closed,
}

impl From<TrySendError<Write>> for Unanswered {
    fn from(error: TrySendError<Write>) -> Self {
        match error {
            TrySendError::Full(_) => Self::Overloaded,
            TrySendError::Closed(_) => Self::Closed,
        }
    }
}

/// The lane of a connection.
pub(crate) fn lane(lanes: &Lanes, connection: ConnectionId) -> &Lane {
    let [even, odd] = lanes;
    if connection.0.as_u128().is_multiple_of(2) { even } else { odd }
}

impl WriteQueue {
    /// Makes the lanes. `serve` is given the name and the end of each, in turn.
    pub(crate) fn new(
        request_timeout: Duration,
        mut serve: impl FnMut(&'static str, Queue),
    ) -> Self {
        let lanes = Arc::new(LANE_NAMES.map(|name| {
            let (lane, queue) = Lane::new();
            serve(name, queue);
            lane
        }));
        Self { lanes, request_timeout }
    }

    /// The lanes, as long as somebody else writes.
    pub(crate) fn downgrade(&self) -> Weak<Lanes> {
        Arc::downgrade(&self.lanes)
    }

    /// Queues a write and waits for its answer. A full queue refuses at once: a place that is waited
    /// for would be out of order when it is given.
    pub(crate) async fn write<T>(
        &self,
        write: Write,
        answer: oneshot::Receiver<T>,
    ) -> Result<T, StoreError> {
        let written = async {
            lane(&self.lanes, write.connection_id()).of(&write).try_send(write)?;
            answer.await.map_err(|_| Unanswered::Closed)
        };
        match timeout(self.request_timeout, written).await {
            Ok(answer) => answer.map_err(StoreError::unavailable),
            Err(_elapsed) => {
                Err(StoreError::unavailable(Unanswered::TimedOut(self.request_timeout)))
            }
        }
    }
}
