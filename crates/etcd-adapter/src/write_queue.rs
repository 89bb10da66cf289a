//! The way to the writer, with a deadline.

use std::time::Duration;

use game_realtime_application::ports::StoreError;
use tokio::{
    sync::{mpsc, mpsc::error::TrySendError, oneshot},
    time::timeout,
};

use crate::batch::Write;

#[derive(Clone)]
pub(crate) struct WriteQueue {
    pub(crate) writes: mpsc::Sender<Write>,
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
    /// Queues a write and waits for its answer. A full queue refuses at once: a place that is waited
    /// for would be out of order when it is given.
    pub(crate) async fn write<T>(
        &self,
        write: Write,
        answer: oneshot::Receiver<T>,
    ) -> Result<T, StoreError> {
        let written = async {
            self.writes.try_send(write)?;
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
