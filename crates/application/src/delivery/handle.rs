//! How sessions talk to the delivery task.

use std::{sync::Arc, time::Duration};

use game_realtime_domain::{Connection, ConnectionId};
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc, oneshot, watch},
    time::Instant,
};

use super::{Advance, Joined, Resume, contact::Contact, deliveries::Deliveries};
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
    last_contact: watch::Receiver<Option<Contact>>,
    ahead_timeout: Duration,
    catching_up: Arc<Semaphore>,
    deliveries: Deliveries,
}

impl DeliveryHandle {
    /// One for a task that obeys `commands`; at most `catching_up` connections catch up at a time.
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        last_contact: watch::Receiver<Option<Contact>>,
        ahead_timeout: Duration,
        catching_up: usize,
    ) -> Self {
        Self {
            commands,
            last_contact,
            ahead_timeout,
            catching_up: Arc::new(Semaphore::new(catching_up)),
            deliveries: Deliveries::new(),
        }
    }

    /// Makes a connection a member; it gets nothing before [`start`](Self::start). Waits until the
    /// node has seen its history.
    ///
    /// [`Joined::Ahead`] means that this node cannot tell for now: the feed is behind or silent.
    ///
    /// # Errors
    /// [`DeliveryGone`] when the node is going down.
    pub async fn join(
        &self,
        connection: &Connection,
        push: &Arc<dyn ClientPush>,
        resume: Resume,
    ) -> Result<Joined, DeliveryGone> {
        let begun = Instant::now();
        let deadline = begun + self.ahead_timeout;
        let mut resume = resume;
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
                Joined::Ahead if Instant::now() < deadline => tokio::time::sleep(AHEAD_RETRY).await,
                // The store never gave that cursor out.
                Joined::Ahead if self.has_caught_up(begun) => resume = Resume::Malformed,
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
        self.last_contact.borrow().map(|contact| contact.at.elapsed())
    }

    fn has_caught_up(&self, since: Instant) -> bool {
        self.last_contact.borrow().is_some_and(|contact| contact.has_caught_up(since))
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
