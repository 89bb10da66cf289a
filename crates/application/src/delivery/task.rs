//! The one task that owns the delivery state, and the handle by which sessions talk to it.

use std::{sync::Arc, time::Duration};

use game_realtime_domain::{Connection, ConnectionId};
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::{
    Advance, Behind, Delivery, Joined, Resume,
    backoff::Backoff,
    catch_up,
    deliveries::Deliveries,
    follower::{self, Followed},
    isolation,
};
use crate::{
    TimelineLimits,
    panics::{Watchdog, caught, panic_point},
    ports::{ClientPush, Clock, CloseReason, EventFeed},
    trace::Traces,
};

/// What shapes delivery.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryConfig {
    /// How much of the past is kept for clients that come back.
    pub timeline: TimelineLimits,
    /// How long a connection whose cursor is ahead of this node waits for the feed.
    pub ahead_timeout: Duration,
    /// How long the feed may be silent before all connections are closed; `None`: for ever.
    pub isolation_grace: Option<Duration>,
}

/// The delivery task has ended: the node is going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("delivery has ended")]
pub struct DeliveryGone;

enum Command {
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

/// The last news from the feed.
#[derive(Clone, Copy)]
pub(super) struct Contact {
    at: Instant,
    /// When the feed last brought something old: this node was behind then.
    late_at: Option<Instant>,
    /// When it last brought something new, or said that there was nothing.
    current_at: Option<Instant>,
}

/// What the feed brought.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    /// What has long been known.
    Late,
    /// What has just happened, or that nothing has.
    Current,
    /// A history, which may be as old as it likes.
    History,
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

/// Commands waiting for the delivery task; senders wait when it is full.
const COMMANDS: usize = 1024;
/// Feed updates waiting for the delivery task; the feed waits when it is full.
const UPDATES: usize = 16;
/// Connections that are handed what they missed at the same time. The others wait for their turn: all
/// at once would leave live connections what little time remains (`just bench resume`).
const CATCHING_UP: usize = 1;
/// An event that is older than this when the feed brings it is late. Longer than any news takes.
const LATE: Duration = Duration::from_secs(1);
/// How often a join whose cursor is ahead asks again.
const AHEAD_RETRY: Duration = Duration::from_millis(20);

/// Starts following the feed and delivering, in tasks that `tracker` owns, `stop` ends and `watchdog`
/// watches.
pub fn start(
    feed: Arc<dyn EventFeed>,
    clock: Arc<dyn Clock>,
    config: DeliveryConfig,
    traces: Traces,
    tracker: &TaskTracker,
    stop: CancellationToken,
    watchdog: &Watchdog,
) -> DeliveryHandle {
    start_seeded(feed, clock, config, traces, Backoff::random_seed(), tracker, stop, watchdog)
}

/// As [`start`], with the seed of the only chance there is in delivery: the jitter of its retries.
/// What it does then follows from what it is told, and when, so that a simulation can repeat it.
#[expect(clippy::too_many_arguments, reason = "each is a different part that delivery needs once")]
pub fn start_seeded(
    feed: Arc<dyn EventFeed>,
    clock: Arc<dyn Clock>,
    config: DeliveryConfig,
    traces: Traces,
    seed: u64,
    tracker: &TaskTracker,
    stop: CancellationToken,
    watchdog: &Watchdog,
) -> DeliveryHandle {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (contact, last_contact) = watch::channel(None);
    let handle = DeliveryHandle {
        commands,
        last_contact,
        ahead_timeout: config.ahead_timeout,
        catching_up: Arc::new(Semaphore::new(CATCHING_UP)),
        deliveries: Deliveries::new(),
    };
    let task = Task {
        feed,
        clock,
        config,
        traces,
        seed,
        contact,
        tracker: tracker.clone(),
        handle: handle.clone(),
    };
    if let Some(grace) = config.isolation_grace {
        let watch = isolation::run(handle.clone(), handle.last_contact.clone(), grace);
        let watch = stop.clone().run_until_cancelled_owned(watch);
        tracker.spawn(watchdog.clone().watch("isolation", watch));
    }
    let delivery = stop.run_until_cancelled_owned(task.run(inbox));
    tracker.spawn(watchdog.clone().watch("delivery", delivery));
    handle
}

impl DeliveryHandle {
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

    /// Whether everything that was committed before `since` has come by.
    fn has_caught_up(&self, since: Instant) -> bool {
        self.last_contact.borrow().is_some_and(|Contact { late_at, current_at, .. }| {
            late_at.is_none_or(|late_at| late_at < since)
                && current_at.is_some_and(|current_at| current_at > since + LATE)
        })
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

struct Task {
    feed: Arc<dyn EventFeed>,
    clock: Arc<dyn Clock>,
    config: DeliveryConfig,
    traces: Traces,
    seed: u64,
    contact: watch::Sender<Option<Contact>>,
    tracker: TaskTracker,
    handle: DeliveryHandle,
}

impl Task {
    async fn run(self, mut inbox: mpsc::Receiver<Command>) {
        let mut backoff = Backoff::new(self.seed);
        let history = follower::first_history(&self.feed, &self.config, &mut backoff).await;
        let mut delivery = Delivery::new(history, self.config.timeline, self.clock.now())
            .traced(self.traces.clone());
        self.note(News::History);
        let (updates, mut followed) = mpsc::channel(UPDATES);
        let follower = follower::run(
            Arc::clone(&self.feed),
            self.config,
            backoff,
            delivery.timeline().epoch().clone(),
            delivery.head(),
            updates,
        );
        let follow = async {
            // By turns one or the other goes first: neither can starve the other, and what
            // happens follows from what arrived, not from a random choice.
            loop {
                tokio::select! {
                    biased;
                    Some(message) = followed.recv() => self.follow(&mut delivery, message),
                    Some(command) = inbox.recv() => self.obey(&mut delivery, command),
                    else => break,
                }
                tokio::select! {
                    biased;
                    Some(command) = inbox.recv() => self.obey(&mut delivery, command),
                    Some(message) = followed.recv() => self.follow(&mut delivery, message),
                    else => break,
                }
            }
        };
        tokio::join!(follower, follow);
    }

    fn follow(&self, delivery: &mut Delivery, message: Followed) {
        match message {
            Followed::Update(update) => {
                if !update.events.is_empty() {
                    panic_point("delivery");
                }
                let now = self.clock.now();
                let age = update.events.last().map(|newest| {
                    let age = now.as_millis().saturating_sub(newest.event.created_at.as_millis());
                    Duration::from_millis(age)
                });
                if let Some(age) = age {
                    metrics::gauge!("game_realtime_feed_lag_seconds").set(age.as_secs_f64());
                }
                let late = age.is_some_and(|age| age > LATE);
                self.note(if late { News::Late } else { News::Current });
                for Behind { id, push } in delivery.publish(update, now) {
                    debug!(connection.id = %id, "connection fell behind");
                    metrics::counter!("game_realtime_fell_behind_total").increment(1);
                    self.catch_up(id, push);
                }
            }
            Followed::Restart(history) => {
                self.note(News::History);
                delivery.restart(history, self.clock.now());
            }
        }
        metrics::gauge!("game_realtime_timeline_events").set(as_f64(delivery.timeline().len()));
        metrics::gauge!("game_realtime_timeline_bytes").set(as_f64(delivery.timeline().bytes()));
        metrics::gauge!("game_realtime_connections_behind").set(as_f64(delivery.behind()));
    }

    /// Lets a connection catch up, or go if that panics: it would get nothing any more.
    fn catch_up(&self, id: ConnectionId, push: Arc<dyn ClientPush>) {
        let handle = self.handle.clone();
        self.tracker.spawn(async move {
            if caught(catch_up::run(handle, id, Arc::clone(&push))).await.is_err() {
                push.close(CloseReason::Internal);
            }
        });
    }

    fn note(&self, news: News) {
        let at = Instant::now();
        let before = *self.contact.borrow();
        let last = |kind, before| if news == kind { Some(at) } else { before };
        self.contact.send_replace(Some(Contact {
            at,
            late_at: last(News::Late, before.and_then(|contact| contact.late_at)),
            current_at: last(News::Current, before.and_then(|contact| contact.current_at)),
        }));
    }

    fn obey(&self, delivery: &mut Delivery, command: Command) {
        match command {
            Command::Join { connection, push, resume, answer } => {
                let id = connection.id;
                let joined = delivery.join(connection, push, &resume);
                if answer.send(joined).is_err() {
                    // Nobody waits for it any more, so nobody would make it leave.
                    delivery.leave(id);
                }
            }
            // Most have missed nothing and are live at once, without a task of their own.
            Command::Start(id) => match delivery.advance(id, 0) {
                Advance::Live | Advance::Unknown => {}
                Advance::Hand(_) | Advance::Lost => {
                    if let Some(push) = delivery.push_of(id) {
                        self.catch_up(id, push);
                    }
                }
            },
            Command::Advance { id, limit, answer } => {
                answer.send(delivery.advance(id, limit)).ok();
            }
            Command::Leave(id) => delivery.leave(id),
            Command::Kick(ids) => ids.into_iter().for_each(|id| delivery.kick(id)),
            Command::CloseAll(reason) => delivery.close_all(reason),
            Command::CloseSome { most, reason, answer } => {
                answer.send(delivery.close_some(most, reason)).ok();
            }
        }
    }
}

/// A count as a metric's value; above 2^53 it is rounded.
#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
