//! The other end of the writer's queue.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    time::Duration,
};

use game_realtime_application::{
    NewEvent,
    panics::Watchdog,
    ports::{AppendError, Appended, StoreError},
};
use tokio::{
    sync::{
        Semaphore,
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::timeout,
};

use super::{
    Writer,
    command::{Append, Command},
};

/// How many requests wait in the queue, at most. It is as large as the number of callers can get:
/// everybody waits for an answer anyway, and a place in the queue is what keeps the order. (Waiting
/// for room would not: who is polled first after room was made would go first.)
const QUEUE: usize = 65_536;
/// How large the events in the queue and in the transaction are together, in bytes, at most.
const QUEUED_BYTES: usize = 128 * 1024 * 1024;
/// How long the end of the writer may take, what waits in its queue included.
const CLOSE_TIME_LIMIT: Duration = Duration::from_secs(5);

/// Asks the writer. The writer does what was asked of it and ends when the last handle is dropped.
pub(crate) struct WriterHandle {
    // Dropped first: that is what ends the thread.
    commands: mpsc::Sender<Command>,
    /// One permit for each byte that may still be queued.
    room: Arc<Semaphore>,
    /// How long a request may take, its time in the queue included.
    time_limit: Duration,
    _stopped: Stopped,
}

/// Waits, when it is dropped, until the thread has closed the file, but not for ever.
struct Stopped(Mutex<Receiver<()>>);

impl Drop for Stopped {
    fn drop(&mut self) {
        let stopped = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent: the thread's end disconnects the channel.
        stopped.recv_timeout(CLOSE_TIME_LIMIT).ok();
    }
}

impl Writer {
    /// Starts the thread, which `watchdog` watches. A request to it may take `time_limit`.
    ///
    /// # Errors
    /// When the system refuses one.
    pub(crate) fn start(
        self,
        time_limit: Duration,
        watchdog: &Watchdog,
    ) -> io::Result<WriterHandle> {
        let (commands, queue) = mpsc::channel(QUEUE);
        let (running, stopped) = sync_channel(1);
        let guard = watchdog.guard("embedded writer");
        std::thread::Builder::new().name("embedded-writer".to_owned()).spawn(move || {
            // Held by the thread to its very end.
            let _running = (running, guard);
            self.run(queue);
        })?;
        Ok(WriterHandle {
            commands,
            room: Arc::new(Semaphore::new(QUEUED_BYTES)),
            time_limit,
            _stopped: Stopped(Mutex::new(stopped)),
        })
    }
}

impl WriterHandle {
    /// Queues an event, in the first poll, and waits for its commit.
    pub(crate) async fn append(&self, event: NewEvent) -> Result<Appended, AppendError> {
        let (answer, answered) = oneshot::channel();
        let append = Append::encode(event, answer, &self.room)?;
        self.ask(Command::Append(Box::new(append)), answered, self.time_limit).await?
    }

    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Command::Probe(answer), answered, self.time_limit).await?
    }

    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        if self.commands.is_closed() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        self.ask(Command::Close(answer), answered, CLOSE_TIME_LIMIT).await?
    }

    async fn ask<T>(
        &self,
        command: Command,
        answered: oneshot::Receiver<T>,
        time_limit: Duration,
    ) -> Result<T, StoreError> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::unavailable("the queue is full"),
            TrySendError::Closed(_) => StoreError::unavailable("the store is closed"),
        })?;
        match timeout(time_limit, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(StoreError::unavailable("the store is closed")),
            Err(_) => Err(StoreError::unavailable(format!("no answer within {time_limit:?}"))),
        }
    }
}
