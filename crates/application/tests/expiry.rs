//! Connections end when their identity does: not before, not much later, however far away that is.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use game_realtime_application::{
    Expiry, OutgoingEvent,
    panics::Watchdog,
    ports::{ClientPush, Clock as _, CloseReason, ConnectionGone, PushOutcome},
};
use game_realtime_contract::ManualClock;
use game_realtime_domain::{ConnectionId, Timestamp};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// Writes down how it was closed.
#[derive(Default)]
struct Closed(Mutex<Vec<CloseReason>>);

#[async_trait]
impl ClientPush for Closed {
    fn push(&self, _event: &OutgoingEvent) -> PushOutcome {
        PushOutcome::Taken
    }

    async fn writable(&self) -> Result<(), ConnectionGone> {
        Ok(())
    }

    fn close(&self, reason: CloseReason) {
        self.0.lock().unwrap().push(reason);
    }
}

struct Node {
    clock: Arc<ManualClock>,
    expiry: Arc<Expiry>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Node {
    fn start() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let expiry = Expiry::start(Arc::clone(&clock) as _, &tasks, stop.clone(), &Watchdog::new());
        Self { clock, expiry, tasks, stop }
    }

    fn at(&self, later: Duration) -> Timestamp {
        let later = u64::try_from(later.as_millis()).unwrap();
        Timestamp::from_millis(self.clock.now().as_millis() + later)
    }

    fn watch(&self, number: u128, at: Timestamp) -> Arc<Closed> {
        let push = Arc::new(Closed::default());
        self.expiry.watch(ConnectionId(Uuid::from_u128(number)), at, Arc::clone(&push) as _);
        push
    }

    /// Lets time pass, on the wall and for those who wait.
    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        sleep(time).await;
        // Whoever was due at the end of it, too.
        sleep(Duration::from_millis(600)).await;
    }
}

fn closings(push: &Closed) -> usize {
    let reasons = push.0.lock().unwrap();
    assert!(reasons.iter().all(|reason| *reason == CloseReason::TokenExpired));
    reasons.len()
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_once_when_its_time_has_come_and_not_before() {
    let node = Node::start();
    let end = node.at(Duration::from_secs(5));
    let both = [node.watch(1, end), node.watch(2, end)];
    let later = node.watch(3, node.at(Duration::from_secs(9)));
    let past = node.watch(4, Timestamp::from_millis(0));
    node.pass(Duration::from_millis(4_999)).await;
    assert_eq!((closings(&both[0]), closings(&later), closings(&past)), (0, 0, 1));
    node.pass(Duration::from_millis(1)).await;
    assert_eq!((closings(&both[0]), closings(&both[1]), closings(&later)), (1, 1, 0));
    node.pass(Duration::from_secs(60)).await;
    assert_eq!((closings(&both[0]), closings(&later)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_ended_is_not_closed_again() {
    let node = Node::start();
    let end = node.at(Duration::from_secs(5));
    let (ended, other) = (node.watch(1, end), node.watch(2, end));
    node.expiry.forget(ConnectionId(Uuid::from_u128(1)), end);
    assert_eq!(Arc::strong_count(&ended), 1, "nothing keeps it");
    node.pass(Duration::from_secs(6)).await;
    assert_eq!((closings(&ended), closings(&other)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_time_is_far_away_and_does_no_harm() {
    let node = Node::start();
    let never = node.watch(1, Timestamp::from_millis(u64::MAX));
    let soon = node.watch(2, node.at(Duration::from_secs(1)));
    node.clock.advance(Duration::from_secs(366 * 24 * 3600));
    sleep(Duration::from_secs(1)).await;
    assert_eq!((closings(&never), closings(&soon)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_crowd_whose_tokens_end_together_is_closed_together() {
    let node = Node::start();
    let end = node.at(Duration::from_secs(1));
    let crowd: Vec<_> = (0..2_000).map(|number| node.watch(number, end)).collect();
    node.pass(Duration::from_secs(1)).await;
    assert!(crowd.iter().all(|push| closings(push) == 1));
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_node() {
    let node = Node::start();
    node.stop.cancel();
    node.tasks.close();
    tokio::time::timeout(Duration::from_secs(1), node.tasks.wait()).await.unwrap();
}
