//! The one task that owns the delivery state.

use std::{sync::Arc, time::Duration};

use game_realtime_domain::{ConnectionId, Timestamp};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use super::{
    Advance, Behind, Delivery,
    backoff::Backoff,
    catch_up,
    clock_skew::{Change, ClockSkew},
    follower::{self, Followed},
    handle::{Command, DeliveryHandle},
    isolation,
    log_end::{self, LogEnd},
};
use crate::{
    TimelineLimits,
    panics::{Watchdog, caught, panic_point},
    ports::{ClientPush, Clock, CloseReason, EventFeed, FeedUpdate},
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

/// Commands waiting for the delivery task; senders wait when it is full.
const COMMANDS: usize = 1024;
/// Feed updates waiting for the delivery task; the feed waits when it is full.
const UPDATES: usize = 16;
/// Connections that are handed what they missed at the same time. The others wait for their turn: all
/// at once would leave live connections what little time remains (`just bench resume`).
const CATCHING_UP: usize = 1;
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
    let (log_end, questions) = LogEnd::new();
    let handle = DeliveryHandle::new(
        commands,
        last_contact.clone(),
        log_end,
        config.ahead_timeout,
        CATCHING_UP,
    );
    let answers = log_end::run(Arc::clone(&feed), questions);
    let answers = stop.clone().run_until_cancelled_owned(answers);
    tracker.spawn(watchdog.clone().watch("end of the log", answers));
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
        let watch = isolation::run(handle.clone(), last_contact, grace);
        let watch = stop.clone().run_until_cancelled_owned(watch);
        tracker.spawn(watchdog.clone().watch("isolation", watch));
    }
    let delivery = stop.run_until_cancelled_owned(task.run(inbox));
    tracker.spawn(watchdog.clone().watch("delivery", delivery));
    handle
}

struct Task {
    feed: Arc<dyn EventFeed>,
    clock: Arc<dyn Clock>,
    config: DeliveryConfig,
    traces: Traces,
    seed: u64,
    contact: watch::Sender<Option<Instant>>,
    tracker: TaskTracker,
    handle: DeliveryHandle,
}

impl Task {
    async fn run(self, mut inbox: mpsc::Receiver<Command>) {
        let mut backoff = Backoff::new(self.seed);
        let history = follower::first_history(&self.feed, &self.config, &mut backoff).await;
        let mut delivery = Delivery::new(history, self.config.timeline, self.clock.now())
            .traced(self.traces.clone());
        self.note_contact();
        let (updates, mut followed) = mpsc::channel(UPDATES);
        let follower = follower::run(
            Arc::clone(&self.feed),
            self.config,
            backoff,
            delivery.timeline().epoch().clone(),
            delivery.head(),
            updates,
        );
        Self::show_timeline(&delivery);
        let mut skew = ClockSkew::new(Instant::now());
        let follow = async {
            // By turns one or the other goes first: neither can starve the other, and what
            // happens follows from what arrived, not from a random choice.
            loop {
                tokio::select! {
                    biased;
                    Some(message) = followed.recv() => self.follow(&mut delivery, &mut skew, message),
                    Some(command) = inbox.recv() => self.obey(&mut delivery, command),
                    else => break,
                }
                tokio::select! {
                    biased;
                    Some(command) = inbox.recv() => self.obey(&mut delivery, command),
                    Some(message) = followed.recv() => self.follow(&mut delivery, &mut skew, message),
                    else => break,
                }
            }
        };
        tokio::join!(follower, follow);
    }

    fn follow(&self, delivery: &mut Delivery, skew: &mut ClockSkew, message: Followed) {
        match message {
            Followed::Update(update) => {
                if !update.events.is_empty() {
                    panic_point("delivery");
                }
                let now = self.clock.now();
                Self::compare_clocks(skew, &update, now);
                Self::show_lag(delivery, skew, &update, now);
                self.note_contact();
                for Behind { id, push } in delivery.publish(update, now) {
                    debug!(connection.id = %id, "connection fell behind");
                    metrics::counter!("game_realtime_fell_behind_total").increment(1);
                    self.catch_up(id, push);
                }
            }
            Followed::Restart(history) => {
                self.note_contact();
                skew.interrupted(Instant::now());
                delivery.restart(history, self.clock.now());
            }
        }
        Self::show_timeline(delivery);
    }

    fn show_timeline(delivery: &Delivery) {
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

    fn compare_clocks(skew: &mut ClockSkew, update: &FeedUpdate, now: Timestamp) {
        let stamps = update.events.iter().map(|event| event.event.created_at);
        match skew.compare(stamps, now, Instant::now()) {
            Some(Change::Began { milliseconds }) => warn!(
                skew_ms = milliseconds,
                "clocks disagree: an event's stamp is that far from this node's clock; check the time \
                 synchronisation of all nodes"
            ),
            Some(Change::Ended) => info!("clocks agree again"),
            None => {}
        }
        metrics::gauge!("game_realtime_clock_skew_seconds").set(as_seconds(skew.milliseconds()));
    }

    /// Shows how old the newest event is. While clocks disagree, only events of this node's own
    /// connections tell: theirs are stamps of its own clock.
    fn show_lag(delivery: &Delivery, skew: &ClockSkew, update: &FeedUpdate, now: Timestamp) {
        let mut newest = update.events.iter().rev().map(|event| &event.event);
        let agree = skew.milliseconds() == 0;
        let newest = newest.find(|event| agree || delivery.is_member(event.sender.connection_id));
        if let Some(newest) = newest {
            let age = now.as_millis().saturating_sub(newest.created_at.as_millis());
            let age = Duration::from_millis(age);
            metrics::gauge!("game_realtime_feed_lag_seconds").set(age.as_secs_f64());
        }
    }

    fn note_contact(&self) {
        self.contact.send_replace(Some(Instant::now()));
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

/// Milliseconds as a metric's value.
#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
fn as_seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// A count as a metric's value; above 2^53 it is rounded.
#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
