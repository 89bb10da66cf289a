//! Joins whose cursor is ahead of their node: forged or only early, as the store's log says.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use game_realtime_application::{
    DeliveryConfig, DeliveryHandle, Joined, OutgoingEvent, Recovery, Resume, TimelineLimits,
    panics::Watchdog,
    ports::{
        ClientPush, Clock, CloseReason, ConnectionGone, EventFeed, FeedStream, FeedUpdate,
        FollowError, History, PushOutcome, StoreError,
    },
    start_delivery_seeded,
    trace::Traces,
};
use game_realtime_domain::{
    Connection, ConnectionId, Cursor, Epoch, Namespace, NodeId, Position, Timestamp,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

const AHEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the store takes to say where its log ends.
const READ: Duration = Duration::from_millis(100);

/// A store whose log has a known end, and a feed that comes to it when it is told to.
struct Log {
    epoch: Mutex<Epoch>,
    end: AtomicU64,
    reads: AtomicUsize,
    answers: bool,
    heads: Mutex<Option<mpsc::UnboundedReceiver<u64>>>,
}

struct Heads(mpsc::UnboundedReceiver<u64>);

#[async_trait]
impl FeedStream for Heads {
    async fn next(&mut self) -> Result<FeedUpdate, FollowError> {
        match self.0.recv().await {
            Some(head) => Ok(FeedUpdate { events: Vec::new(), head: Position::new(head, 0) }),
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl EventFeed for Log {
    async fn recent(&self, _limits: TimelineLimits) -> Result<History, StoreError> {
        let epoch = self.epoch.lock().unwrap().clone();
        Ok(History { epoch, floor: Position::START, events: Vec::new(), head: Position::START })
    }

    async fn end(&self) -> Result<Cursor, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        // As of the beginning of the read, which is the worst that a linearizable one may be.
        let position = Position::new(self.end.load(Ordering::Relaxed), 0);
        let epoch = self.epoch.lock().unwrap().clone();
        sleep(READ).await;
        if self.answers {
            Ok(Cursor { epoch, position })
        } else {
            Err(StoreError::unavailable("no answer"))
        }
    }

    async fn follow(
        &self,
        _epoch: &Epoch,
        _after: Position,
    ) -> Result<Box<dyn FeedStream>, FollowError> {
        let heads = self.heads.lock().unwrap().take().unwrap();
        Ok(Box::new(Heads(heads)))
    }
}

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }
}

struct Client;

#[async_trait]
impl ClientPush for Client {
    fn push(&self, _event: &OutgoingEvent) -> PushOutcome {
        PushOutcome::Taken
    }

    async fn writable(&self) -> Result<(), ConnectionGone> {
        Ok(())
    }

    fn close(&self, _reason: CloseReason) {}
}

struct Scene {
    log: Arc<Log>,
    delivery: DeliveryHandle,
    feed: mpsc::UnboundedSender<u64>,
}

#[expect(clippy::disallowed_methods, reason = "a test may send without a bound")]
fn scene(end: u64, answers: bool) -> Scene {
    let (feed, heads) = mpsc::unbounded_channel();
    let log = Arc::new(Log {
        epoch: Mutex::new(epoch("e1")),
        end: AtomicU64::new(end),
        reads: AtomicUsize::new(0),
        answers,
        heads: Mutex::new(Some(heads)),
    });
    let config = DeliveryConfig {
        timeline: TimelineLimits { age: Duration::from_secs(60), events: 100, bytes: 1 << 20 },
        ahead_timeout: AHEAD_TIMEOUT,
        isolation_grace: None,
    };
    let delivery = start_delivery_seeded(
        Arc::clone(&log) as _,
        Arc::new(StoppedClock),
        config,
        Traces::off(),
        1,
        &TaskTracker::new(),
        CancellationToken::new(),
        &Watchdog::new(),
    );
    Scene { log, delivery, feed }
}

fn epoch(name: &str) -> Epoch {
    Epoch::parse(name).unwrap()
}

impl Scene {
    /// A connection joins with a cursor of this revision; its answer, and how long that took.
    async fn join(&self, revision: u64) -> (Joined, Duration) {
        let connection = Connection {
            id: ConnectionId(Uuid::from_u128(u128::from(revision))),
            namespace: Namespace::Guest,
            user_id: None,
            node_id: NodeId(Uuid::nil()),
            connected_at: StoppedClock.now(),
        };
        let cursor = Cursor { epoch: epoch("e1"), position: Position::new(revision, 0) };
        let push: Arc<dyn ClientPush> = Arc::new(Client);
        let begun = Instant::now();
        let joined = self.delivery.join(&connection, &push, Resume::From(cursor)).await.unwrap();
        (joined, begun.elapsed())
    }

    fn reads(&self) -> usize {
        self.log.reads.load(Ordering::Relaxed)
    }
}

fn recovery(joined: &Joined) -> Option<Recovery> {
    match joined {
        Joined::At { recovery, .. } => Some(*recovery),
        Joined::Ahead | Joined::Kicked => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_after_the_end_of_the_log_was_never_given_out_and_is_a_gap_at_once() {
    let scene = scene(10, true);
    let (joined, took) = scene.join(11).await;
    assert_eq!(recovery(&joined), Some(Recovery::Gap));
    assert!(took < READ * 2, "{took:?}");
    assert_eq!(scene.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_within_the_log_waits_for_the_feed_and_is_recovered() {
    let scene = scene(10, true);
    let come = async {
        sleep(AHEAD_TIMEOUT / 2).await;
        scene.feed.send(10).unwrap();
    };
    let ((joined, took), ()) = tokio::join!(scene.join(10), come);
    assert_eq!(recovery(&joined), Some(Recovery::Recovered(0)));
    assert!(took >= AHEAD_TIMEOUT / 2 && took < AHEAD_TIMEOUT, "{took:?}");
    assert_eq!(scene.reads(), 1, "one read decides");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_within_the_log_is_never_a_gap_however_late_the_feed_is() {
    let scene = scene(10, true);
    let (joined, took) = scene.join(10).await;
    assert_eq!(joined, Joined::Ahead);
    assert!(took >= AHEAD_TIMEOUT, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_leaves_the_question_open() {
    let scene = scene(10, false);
    assert_eq!(scene.join(11).await.0, Joined::Ahead);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_replaced_never_gave_the_cursor_out() {
    let scene = scene(20, true);
    // The node has read its history, and not noticed that the store is another one.
    scene.join(0).await;
    *scene.log.epoch.lock().unwrap() = epoch("e2");
    assert_eq!(recovery(&scene.join(11).await.0), Some(Recovery::Gap));
}

#[tokio::test(start_paused = true)]
async fn joins_at_the_same_time_share_a_read() {
    let scene = Arc::new(scene(10, true));
    let joins: Vec<_> = (0..1000)
        .map(|number| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move { scene.join(11 + number).await.0 })
        })
        .collect();
    for join in joins {
        assert_eq!(recovery(&join.await.unwrap()), Some(Recovery::Gap));
    }
    assert!(scene.reads() <= 3, "{} reads", scene.reads());
}

#[tokio::test(start_paused = true)]
async fn a_read_that_began_before_the_join_does_not_count() {
    let scene = scene(10, true);
    let later = async {
        sleep(READ / 2).await;
        // Committed, and told to the client, while the read of the other one is on its way.
        scene.log.end.store(12, Ordering::Relaxed);
        scene.join(12).await.0
    };
    let ((early, _), late) = tokio::join!(scene.join(11), later);
    assert_eq!(recovery(&early), Some(Recovery::Gap));
    assert_eq!(late, Joined::Ahead, "taken for forged");
    assert_eq!(scene.reads(), 2);
}
