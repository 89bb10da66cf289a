//! One node's way to the store, with everything that can go wrong on it; and the registry of the
//! node's connections, which survives the loss of its lease.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use game_realtime_application::{
    NewEvent,
    ports::{
        AppendError, Appended, ConnectionRepository, EventRepository, KickOrders, Listing,
        StoreError,
    },
};
use game_realtime_domain::{
    Connection, ConnectionId, EventType, Namespace, NodeId, Position, Recipient, UserId,
};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep, timeout},
};

use super::{
    unavailable,
    writer::{Answered, Queued, Work},
};
use crate::{random::Random, world::World};

/// How long a node waits for the store.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// How often delivery may fail to get its feed within a second. Pauses begin at 50 ms.
const FAILURES: usize = 20;

pub(crate) struct Link {
    pub(crate) world: Arc<World>,
    pub(crate) node_id: NodeId,
    pub(super) random: Random,
    cut: AtomicBool,
    /// Whether requests over the cut link are refused at once, instead of getting no answer.
    refusing: AtomicBool,
    /// Counts how often the open feeds broke.
    breaks: AtomicU64,
    pub(super) lease_held: AtomicBool,
    pub(super) local: Mutex<Local>,
    /// How many of the store's orders the node has heard.
    heard_orders: AtomicUsize,
    pub(super) queue: Mutex<VecDeque<Queued>>,
    pub(super) queued: Notify,
    told: Mutex<Told>,
    /// When delivery last did not get its feed.
    failures: Mutex<VecDeque<Instant>>,
}

/// The truth about the node's connections, by which the registry is mended.
#[derive(Default)]
pub(super) struct Local {
    pub(super) live: BTreeMap<ConnectionId, Connection>,
    /// When they were first registered.
    pub(super) since: BTreeMap<ConnectionId, u64>,
    /// Alive, but lost from the registry.
    pub(super) unregistered: BTreeSet<ConnectionId>,
    /// Ended, but perhaps still registered.
    pub(super) leftovers: BTreeMap<ConnectionId, Connection>,
}

/// What the store has told this node's delivery.
#[derive(Clone, Copy)]
pub(crate) struct Told {
    pub(crate) head: Position,
    /// Whether it ever said that events are lost.
    pub(crate) lost: bool,
}

impl Link {
    pub(crate) fn new(world: &Arc<World>, node_id: NodeId) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            node_id,
            random: world.random.fork(),
            cut: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            breaks: AtomicU64::new(0),
            lease_held: AtomicBool::new(true),
            local: Mutex::default(),
            heard_orders: AtomicUsize::new(0),
            queue: Mutex::default(),
            queued: Notify::new(),
            failures: Mutex::default(),
            told: Mutex::new(Told { head: Position::START, lost: false }),
        })
    }

    /// Cuts the node off from the store, or ends that.
    pub(crate) fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
        self.refusing.store(cut && self.random.chance(50), Ordering::Relaxed);
        self.world.store.changed.notify_waiters();
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    pub(crate) fn break_feed(&self) {
        self.breaks.fetch_add(1, Ordering::Relaxed);
        self.world.store.changed.notify_waiters();
    }

    pub(super) fn breaks(&self) -> u64 {
        self.breaks.load(Ordering::Relaxed)
    }

    /// The store drops everything this node registered; the node notices later.
    pub(crate) fn lose_lease(&self) {
        self.lease_held.store(false, Ordering::Relaxed);
        self.world.store.expire(self.node_id);
    }

    pub(crate) fn told(&self) -> Told {
        *self.told.lock().unwrap()
    }

    pub(super) fn tell_head(&self, head: Position) {
        let mut told = self.told.lock().unwrap();
        if head > told.head {
            *told = Told { head, ..*told };
        }
    }

    pub(super) fn tell_lost(&self) {
        self.told.lock().unwrap().lost = true;
    }

    /// Notes that delivery did not get its feed.
    pub(super) fn note_failure(&self) {
        let mut failures = self.failures.lock().unwrap();
        failures.push_back(Instant::now());
        if failures.len() > FAILURES {
            failures.pop_front();
        }
    }

    /// Delivery asks for its feed. After a failure it has to pause; if it does not, it would
    /// never let the time pass, so it gets no answer.
    pub(super) async fn check_pace(&self) {
        let first = {
            let failures = self.failures.lock().unwrap();
            if failures.len() < FAILURES { None } else { failures.front().copied() }
        };
        if first.is_some_and(|first| first.elapsed() < Duration::from_secs(1)) {
            self.world.violated(format!("{} asks for its feed without a pause", self.node_id));
            std::future::pending::<()>().await;
        }
    }

    /// How long one way takes: mostly short, now and then longer than anybody waits.
    pub(super) fn latency(&self) -> Duration {
        match self.random.below(100) {
            _ if self.world.is_settling() => self.random.millis(0..=2),
            0 => self.random.millis(1000..=5000),
            1..=5 => self.random.millis(20..=500),
            _ => self.random.millis(0..=10),
        }
    }

    pub(super) fn loses_one(&self) -> bool {
        self.is_cut() || (!self.world.is_settling() && self.random.chance(self.world.plan.loss))
    }

    /// Asks the store something, there and back.
    pub(super) async fn ask(&self) -> Result<(), StoreError> {
        let lost = self.loses_one();
        let delay = match lost {
            true if self.refusing.load(Ordering::Relaxed) => Duration::ZERO,
            true => REQUEST_TIMEOUT,
            false => self.latency(),
        };
        sleep(delay).await;
        if lost || self.is_cut() { Err(unavailable()) } else { Ok(()) }
    }

    /// Queues work for the writer at once; the rest is waiting.
    pub(super) fn write(&self, work: Work) -> oneshot::Receiver<Answered> {
        let (answer, answered) = oneshot::channel();
        self.queue.lock().unwrap().push_back(Queued { work, answer });
        self.queued.notify_one();
        answered
    }

    async fn written(&self, work: Work) -> Result<(), StoreError> {
        match timeout(REQUEST_TIMEOUT, self.write(work)).await {
            Ok(Ok(Answered::Done(true))) => Ok(()),
            Ok(Ok(_) | Err(_)) | Err(_) => Err(unavailable()),
        }
    }
}

#[async_trait]
impl EventRepository for Link {
    async fn append(&self, event: NewEvent) -> Result<Appended, AppendError> {
        match timeout(REQUEST_TIMEOUT, self.write(Work::Append(event))).await {
            Ok(Ok(Answered::Appended(appended))) => appended,
            Ok(Ok(_) | Err(_)) | Err(_) => Err(unavailable().into()),
        }
    }

    async fn list(&self, event_type: EventType, limit: usize) -> Result<Listing, StoreError> {
        self.ask().await?;
        let state = self.world.store.state();
        let stored = state.log[state.pruned..].iter().rev().filter(|entry| entry.readable);
        let stored = stored.map(|entry| &entry.event);
        let of_type = stored.filter(|event| event.event.payload.event_type == event_type);
        let events = of_type.take(limit).cloned().collect();
        Ok(Listing { epoch: state.epoch.clone(), events })
    }
}

#[async_trait]
impl ConnectionRepository for Link {
    async fn save(&self, connection: &Connection) -> Result<(), StoreError> {
        self.local.lock().unwrap().live.insert(connection.id, connection.clone());
        self.written(Work::Register(connection.clone())).await
    }

    async fn delete(&self, connection: &Connection) -> Result<(), StoreError> {
        {
            let mut local = self.local.lock().unwrap();
            local.live.remove(&connection.id);
            local.since.remove(&connection.id);
            local.unregistered.remove(&connection.id);
            local.leftovers.insert(connection.id, connection.clone());
        }
        let deleted = self.written(Work::Unregister(connection.id)).await;
        if deleted.is_ok() {
            self.local.lock().unwrap().leftovers.remove(&connection.id);
        }
        deleted
    }

    async fn get(&self, id: ConnectionId) -> Result<Option<Connection>, StoreError> {
        self.ask().await?;
        Ok(self.world.store.state().registry.get(&id).cloned())
    }

    async fn list_by_namespace(
        &self,
        namespace: Namespace,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        self.ask().await?;
        let state = self.world.store.state();
        let here = state.registry.values().filter(|connection| connection.namespace == namespace);
        Ok(here.filter(|c| after.is_none_or(|after| c.id > after)).take(limit).cloned().collect())
    }

    async fn list_by_user(
        &self,
        user_id: &UserId,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        self.ask().await?;
        let state = self.world.store.state();
        let theirs = state.registry.values().filter(|c| c.user_id.as_ref() == Some(user_id));
        let rest = theirs.filter(|connection| after.is_none_or(|after| connection.id > after));
        Ok(rest.take(limit).cloned().collect())
    }
}

#[async_trait]
impl KickOrders for Link {
    async fn give(&self, target: &Recipient) -> Result<u64, StoreError> {
        match timeout(REQUEST_TIMEOUT, self.write(Work::Order(target.clone()))).await {
            Ok(Ok(Answered::Ordered(concerned))) => Ok(concerned),
            Ok(Ok(_) | Err(_)) | Err(_) => Err(unavailable()),
        }
    }

    async fn next(&self) -> Vec<ConnectionId> {
        loop {
            // Made before anything is looked at, so that no change is missed.
            let changed = self.world.store.changed.notified();
            let heard = self.heard_orders.load(Ordering::Relaxed);
            if !self.is_cut() && self.world.store.state().orders.len() > heard {
                sleep(self.latency()).await;
                if !self.is_cut() {
                    return self.hear();
                }
            }
            changed.await;
        }
    }
}

impl Link {
    /// The connections of this node that new orders concern.
    fn hear(&self) -> Vec<ConnectionId> {
        let state = self.world.store.state();
        let heard = self.heard_orders.swap(state.orders.len(), Ordering::Relaxed);
        let local = self.local.lock().unwrap();
        let since = |connection: &Connection| local.since.get(&connection.id).copied();
        let concerned = |connection: &Connection| {
            let mut new = state.orders.iter().skip(heard);
            new.any(|(target, at)| {
                target.is(connection) && since(connection).is_some_and(|since| since < *at)
            })
        };
        local.live.values().filter(|it| concerned(it)).map(|connection| connection.id).collect()
    }
}
