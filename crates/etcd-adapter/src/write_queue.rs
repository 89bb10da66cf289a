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

/// Writes that wait in a lane; beyond it they are refused. Some ten full transactions' worth for
/// every second that a client is ready to wait.
const LANE: usize = 8192;

/// What is written for one connection always takes the same lane: its registration comes before
/// its events, and they stay in order.
pub(crate) type Lanes = [mpsc::Sender<Write>; LANES];

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
pub(crate) fn lane(lanes: &Lanes, connection: ConnectionId) -> &mpsc::Sender<Write> {
    let [even, odd] = lanes;
    if connection.0.as_u128().is_multiple_of(2) { even } else { odd }
}

impl WriteQueue {
    /// Makes the lanes. `serve` is given the name and the end of each, in turn.
    pub(crate) fn new(
        request_timeout: Duration,
        mut serve: impl FnMut(&'static str, mpsc::Receiver<Write>),
    ) -> Self {
        let lanes = Arc::new(LANE_NAMES.map(|name| {
            let (lane, queue) = mpsc::channel(LANE);
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
            lane(&self.lanes, write.connection_id()).try_send(write)?;
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
