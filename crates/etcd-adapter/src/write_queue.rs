//! The way to the writers, with a deadline.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Weak},
    time::Duration,
};

use game_realtime_application::{Scope, ports::StoreError};
use tokio::{
    sync::{mpsc, mpsc::error::TrySendError, oneshot},
    time::timeout,
};

use crate::batch::Write;

/// Events that wait in a lane, or registrations; beyond it they are refused. Some ten full
/// transactions' worth for every second that a client is ready to wait.
const LANE: usize = 8192;

/// Between two transactions of the registry, so that a crowd that comes in costs etcd few of them and
/// leaves its disk to events. Who comes alone does not wait.
const REGISTRY_PAUSE: Duration = Duration::from_millis(5);

/// The writers of a node, each with one transaction on its way: etcd takes the next one while it makes
/// the last one durable, and one writer alone leaves it idle meanwhile.
///
/// Events take one of two lanes, which commit a fifth more than one does; a third adds nothing (512
/// events in flight in transactions of up to 120, etcd and node on two cores). Registrations have a
/// lane of their own, so that a crowd that comes in does not hold up who plays. A player's events, or
/// those of a guest's connection, share a lane: they stay in order, and repeats of a request meet what
/// they repeat. Between lanes nothing has to be in order: who sends has been told of its registration.
pub(crate) struct Lanes {
    even: mpsc::Sender<Write>,
    odd: mpsc::Sender<Write>,
    registry: mpsc::Sender<Write>,
    hasher: RandomState,
}

impl Lanes {
    /// The lane that a write has to take.
    pub(crate) fn of(&self, write: &Write) -> &mpsc::Sender<Write> {
        match write {
            Write::Append { event, .. } => {
                let lane = self.hasher.hash_one(Scope::of(&event.event.sender));
                if lane.is_multiple_of(2) { &self.even } else { &self.odd }
            }
            Write::Register { .. } | Write::Unregister { .. } => &self.registry,
        }
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

impl WriteQueue {
    /// Makes the lanes. `serve` is given the name and the end of each, in turn.
    pub(crate) fn new(
        request_timeout: Duration,
        mut serve: impl FnMut(&'static str, Duration, mpsc::Receiver<Write>),
    ) -> Self {
        let mut lane = |name, pause| {
            let (lane, queue) = mpsc::channel(LANE);
            serve(name, pause, queue);
            lane
        };
        let lanes = Lanes {
            even: lane("even", Duration::ZERO),
            odd: lane("odd", Duration::ZERO),
            registry: lane("registry", REGISTRY_PAUSE),
            hasher: RandomState::new(),
        };
        Self { lanes: Arc::new(lanes), request_timeout }
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
            self.lanes.of(&write).try_send(write)?;
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
