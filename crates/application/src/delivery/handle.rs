//! How sessions talk to the delivery task.

use std::{sync::Arc, time::Duration};

use game_realtime_domain::{Connection, ConnectionId};
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};

use super::{Advance, Joined, Resume, deliveries::Deliveries, log_end::LogEnd};
use crate::ports::{ClientPush, CloseReason};

/// How often a join whose cursor is ahead asks again.
const AHEAD_RETRY: Duration = Duration::from_millis(20);

/// The delivery task has ended: the node is going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("delivery has ended")]
pub struct DeliveryGone;

pub(super) enum Command {
    Join {
        connection: Connection,
        push: Arc<dyn ClientPush>,
        resume: Resume,
        answer: oneshot::Sender<Joined>,
    },
    Start(ConnectionId),
    Advance {
        id: ConnectionId,
        limit: usize,
        answer: oneshot::Sender<Advance>,
    },
    Leave(ConnectionId),
    Kick(Vec<ConnectionId>),
    CloseAll(CloseReason),
    CloseSome {
        most: usize,
        reason: CloseReason,
        answer: oneshot::Sender<usize>,
    },
}

/// Talks to the delivery task.
#[derive(Clone)]
pub struct DeliveryHandle {
    commands: mpsc::Sender<Command>,
    last_contact: watch::Receiver<Option<Instant>>,
    log_end: LogEnd,
    ahead_timeout: Duration,
    catching_up: Arc<Semaphore>,
    deliveries: Deliveries,
}

impl DeliveryHandle {
    /// One for a task that obeys `commands`; at most `catching_up` connections catch up at a time.
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        last_contact: watch::Receiver<Option<Instant>>,
        log_end: LogEnd,
        ahead_timeout: Duration,
        catching_up: usize,
    ) -> Self {
        Self {
            commands,
            last_contact,
            log_end,
            ahead_timeout,
            catching_up: Arc::new(Semaphore::new(catching_up)),
            deliveries: Deliveries::new(),
        }
    }

    /// Makes a connection a member; it gets nothing before [`start`](Self::start). Waits until the
    /// node has seen its history.
    ///
    /// A cursor that is ahead of the node is held against the store's log, once. A position that the log
    /// has not reached was never given out: [`Recovery::Gap`](super::Recovery::Gap). Otherwise the node is
    /// behind and has `ahead_timeout` to catch up; then the answer is [`Joined::Ahead`].
    ///
    /// # Errors
    /// [`DeliveryGone`] when the node is going down.
    pub async fn join(
        &self,
        connection: &Connection,
        push: &Arc<dyn ClientPush>,
        resume: Resume,
    ) -> Result<Joined, DeliveryGone> {
        let deadline = Instant::now() + self.ahead_timeout;
        let mut resume = resume;
        let mut compared = false;
        loop {
            let (answer, joined) = oneshot::channel();
            self.send(Command::Join {
                connection: connection.clone(),
                push: Arc::clone(push),
                resume: resume.clone(),
                answer,
            })
            .await?;
            match joined.await.map_err(|_| DeliveryGone)? {
                joined @ (Joined::At { .. } | Joined::Kicked) => return Ok(joined),
                Joined::Ahead if !compared => {
                    compared = true;
                    // Without an answer the feed may still come to it.
                    let end = timeout_at(deadline, self.log_end.read()).await.ok().flatten();
                    if end.is_some_and(|end| !resume.is_within(&end)) {
                        resume = Resume::Malformed;
                    }
                }
                Joined::Ahead if Instant::now() < deadline => tokio::time::sleep(AHEAD_RETRY).await,
                Joined::Ahead => return Ok(Joined::Ahead),
            }
        }
    }

    /// Lets a member have its events: first what it missed, then what comes.
    ///
    /// # Errors
    /// [`DeliveryGone`] when the node is going down.
    pub async fn start(&self, id: ConnectionId) -> Result<(), DeliveryGone> {
        self.send(Command::Start(id)).await
    }

    /// Forgets a member.
    pub async fn leave(&self, id: ConnectionId) {
        // If the task is gone, so are its members.
        self.send(Command::Leave(id)).await.ok();
    }

    /// Ends connections for good, whether they have joined yet or not.
    ///
    /// # Errors
    /// [`DeliveryGone`] when the node is going down.
    pub async fn kick(&self, ids: Vec<ConnectionId>) -> Result<(), DeliveryGone> {
        self.send(Command::Kick(ids)).await
    }

    /// Ends every connection.
    pub async fn close_all(&self, reason: CloseReason) {
        self.send(Command::CloseAll(reason)).await.ok();
    }

    /// Ends at most so many connections, and says how many are left: none, if the node is going down
    /// so far that delivery has ended.
    pub async fn close_some(&self, most: usize, reason: CloseReason) -> usize {
        let (answer, left) = oneshot::channel();
        if self.send(Command::CloseSome { most, reason, answer }).await.is_err() {
            return 0;
        }
        left.await.unwrap_or_default()
    }

    /// How long ago the feed was last known to be current; `None` before it ever was.
    #[must_use]
    pub fn feed_age(&self) -> Option<Duration> {
        self.last_contact.borrow().map(|contact| contact.elapsed())
    }

    pub(super) fn deliveries(&self) -> &Deliveries {
        &self.deliveries
    }

    /// Waits for a turn to catch up.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, DeliveryGone> {
        self.catching_up.acquire().await.map_err(|_| DeliveryGone)
    }

    pub(super) async fn advance(
        &self,
        id: ConnectionId,
        limit: usize,
    ) -> Result<Advance, DeliveryGone> {
        let (answer, advanced) = oneshot::channel();
        self.send(Command::Advance { id, limit, answer }).await?;
        advanced.await.map_err(|_| DeliveryGone)
    }

    async fn send(&self, command: Command) -> Result<(), DeliveryGone> {
        self.commands.send(command).await.map_err(|_| DeliveryGone)
    }
}
