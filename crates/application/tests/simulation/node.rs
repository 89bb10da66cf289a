//! One run of one node: the application core on its link to the store.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use game_realtime_application::{
    DeliveryConfig, DeliveryHandle,
    limits::{Admission, EventBudgets, EventRates},
    panics::Watchdog,
    ports::{CloseReason, EventFeed},
    start_delivery_seeded, start_kicks,
    trace::Traces,
    use_cases::{Allowed, Broadcast, BuyGood, Connect, Disconnect, Publisher, SendMessage},
};
use game_realtime_domain::{EventType, NodeId, Position};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    clock::{JumpingClock, RandomIds},
    identity::Believer,
    store::{Feed, Link},
    world::{World, note},
};

/// How long a client whose cursor is ahead waits for the node.
const AHEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the store keeps what a dead node registered.
const LEASE: Duration = Duration::from_secs(10);

pub(crate) struct Node {
    world: Arc<World>,
    pub(crate) id: NodeId,
    pub(crate) link: Arc<Link>,
    pub(crate) clock: Arc<JumpingClock>,
    pub(crate) delivery: DeliveryHandle,
    pub(crate) connect: Connect,
    pub(crate) disconnect: Disconnect,
    pub(crate) broadcast: Broadcast,
    pub(crate) send_message: SendMessage,
    pub(crate) buy_good: BuyGood,
    /// Ends everything the node does, in an instant.
    pub(crate) stop: CancellationToken,
    draining: AtomicBool,
    /// The furthest event that it has pushed to anybody.
    pushed: Mutex<Position>,
}

impl Node {
    pub(crate) fn start(world: &Arc<World>) -> Arc<Self> {
        let id = NodeId(Uuid::from_u64_pair(world.random.next(), world.random.next()));
        let link = Link::new(world, id);
        let clock = Arc::new(JumpingClock::new(world.started, world.plan.skew, &world.random));
        let ids = Arc::new(RandomIds(world.random.fork()));
        let stop = CancellationToken::new();
        let feed: Arc<dyn EventFeed> =
            Arc::new(Feed { link: Arc::clone(&link), clock: Arc::clone(&clock) as _ });
        let delivery = start_delivery_seeded(
            feed,
            Arc::clone(&clock) as _,
            DeliveryConfig {
                timeline: world.plan.timeline,
                ahead_timeout: AHEAD_TIMEOUT,
                isolation_grace: None,
            },
            Traces::off(),
            world.random.next(),
            &TaskTracker::new(),
            stop.clone(),
            &Watchdog::new(),
        );
        let watchdog = Watchdog::new();
        let tasks = TaskTracker::new();
        start_kicks(Arc::clone(&link) as _, delivery.clone(), &tasks, stop.clone(), &watchdog);
        let publisher = Arc::new(Publisher::new(
            Arc::clone(&link) as _,
            Arc::clone(&clock) as _,
            Arc::clone(&ids) as _,
            Allowed { private: EventType::ALL.into(), guest: EventType::ALL.into() },
            Arc::new(EventBudgets::new(EventRates::UNLIMITED)),
        ));
        let node = Arc::new(Self {
            world: Arc::clone(world),
            id,
            connect: Connect::new(
                id,
                Arc::new(Admission::unlimited()),
                Arc::new(Believer),
                Arc::clone(&link) as _,
                Arc::clone(&clock) as _,
                ids,
            ),
            disconnect: Disconnect::new(Arc::clone(&link) as _, delivery.clone()),
            broadcast: Broadcast::new(Arc::clone(&publisher)),
            send_message: SendMessage::new(Arc::clone(&publisher)),
            buy_good: BuyGood::new(publisher),
            delivery,
            link,
            clock,
            stop,
            draining: AtomicBool::new(false),
            pushed: Mutex::new(Position::START),
        });
        node.spawn(Arc::clone(&node.link).run_writer());
        node.spawn(Arc::clone(&node.link).run_keeper());
        note!(world, "{id} starts");
        world.add_node(Arc::clone(&node));
        node
    }

    /// Runs something until it is done or the node dies.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tokio::spawn(async move { stop.run_until_cancelled(task).await });
    }

    /// The node dies. What it registered goes with its lease.
    pub(crate) fn crash(&self) {
        note!(self.world, "{} dies", self.id);
        self.stop.cancel();
        let (link, world, id) = (Arc::clone(&self.link), Arc::clone(&self.world), self.id);
        tokio::spawn(async move {
            sleep(LEASE).await;
            link.lose_lease();
            note!(world, "{id} expires");
        });
    }

    /// The node is shut down: it closes its connections, has a moment for their ends, and stops.
    pub(crate) async fn drain(&self) {
        note!(self.world, "{} drains", self.id);
        self.draining.store(true, Ordering::Relaxed);
        self.delivery.close_all(CloseReason::Drain).await;
        sleep(Duration::from_secs(2)).await;
        if !self.stop.is_cancelled() {
            self.crash();
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn has_pushed(&self, position: Position) {
        let mut pushed = self.pushed.lock().unwrap();
        *pushed = position.max(*pushed);
    }

    pub(crate) fn pushed(&self) -> Position {
        *self.pushed.lock().unwrap()
    }
}
