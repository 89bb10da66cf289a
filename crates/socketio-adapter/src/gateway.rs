//! What every connection of this transport shares.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use game_realtime_application::{
    DeliveryHandle, Expiry,
    limits::{Buckets, InFlight, Refusal},
    panics::Watchdog,
    trace::Traces,
    use_cases::{Connect, Disconnect},
    wire::Events,
};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{config::LimitsConfig, library::Library, turnstile::Turnstile};

/// What the transport needs from the application.
pub struct UseCases {
    /// Lets clients in.
    pub connect: Connect,
    /// Forgets connections that have ended.
    pub disconnect: Disconnect,
    /// Carries out what clients send.
    pub events: Arc<Events>,
    /// Hands events to connections.
    pub delivery: DeliveryHandle,
    /// Ends connections whose identity has run out.
    pub expiry: Arc<Expiry>,
    /// How long an event may wait for its commit before it is answered `unavailable`.
    pub event_timeout: Duration,
    /// Where the traces of events begin.
    pub traces: Traces,
}

pub(crate) struct Gateway {
    use_cases: UseCases,
    limits: LimitsConfig,
    library: Library,
    handshakes: Buckets<IpAddr>,
    in_flight: Arc<InFlight>,
    turnstile: Turnstile,
    tasks: TaskTracker,
    workers: TaskTracker,
    draining: CancellationToken,
    refusing: AtomicBool,
}

/// How often it is checked that events in flight are done.
const SETTLE_CHECK: Duration = Duration::from_millis(10);

impl Gateway {
    pub(crate) fn new(
        use_cases: UseCases,
        limits: LimitsConfig,
        library: Library,
        tasks: TaskTracker,
        draining: CancellationToken,
        watchdog: &Watchdog,
    ) -> Arc<Self> {
        let gateway = Arc::new(Self {
            handshakes: Buckets::new(limits.rates.handshakes),
            in_flight: InFlight::new(limits.in_flight_bytes),
            turnstile: Turnstile::new(),
            use_cases,
            limits,
            library,
            tasks,
            workers: TaskTracker::new(),
            draining,
            refusing: AtomicBool::new(false),
        });
        let tidied = Arc::clone(&gateway);
        let tidy = async move {
            tidied.draining.run_until_cancelled(tidied.handshakes.keep_tidy()).await;
        };
        gateway.tasks.spawn(watchdog.clone().watch("handshakes", tidy));
        gateway
    }

    /// Whether a client at `address` may begin another session now.
    pub(crate) fn takes_handshake(&self, address: IpAddr) -> bool {
        let taken = self.handshakes.take(&address);
        if !taken {
            Refusal::HandshakeRate.count();
        }
        taken
    }

    /// What the events in flight take of this node.
    pub(crate) fn in_flight(&self) -> &Arc<InFlight> {
        &self.in_flight
    }

    /// Where those who join go one by one.
    pub(crate) fn turnstile(&self) -> &Turnstile {
        &self.turnstile
    }

    pub(crate) fn connect(&self) -> &Connect {
        &self.use_cases.connect
    }

    pub(crate) fn disconnect(&self) -> &Disconnect {
        &self.use_cases.disconnect
    }

    pub(crate) fn events(&self) -> &Events {
        &self.use_cases.events
    }

    pub(crate) fn delivery(&self) -> &DeliveryHandle {
        &self.use_cases.delivery
    }

    pub(crate) fn expiry(&self) -> &Expiry {
        &self.use_cases.expiry
    }

    pub(crate) fn traces(&self) -> &Traces {
        &self.use_cases.traces
    }

    pub(crate) fn event_timeout(&self) -> Duration {
        self.use_cases.event_timeout
    }

    pub(crate) fn limits(&self) -> &LimitsConfig {
        &self.limits
    }

    pub(crate) fn library(&self) -> &Library {
        &self.library
    }

    /// Waits until no event is being carried out, or until `deadline`.
    pub(crate) async fn settle(&self, deadline: Instant) {
        let settled = async {
            while !self.workers.is_empty() {
                sleep(SETTLE_CHECK).await;
            }
        };
        timeout_at(deadline, settled).await.ok();
    }

    /// Owns the tasks that carry out events.
    pub(crate) fn workers(&self) -> &TaskTracker {
        &self.workers
    }

    /// Owns every other task of the transport.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// From now on events are answered `unavailable`: whoever sends them is about to be sent away,
    /// and an event on its way then would have no answer.
    pub(crate) fn refuse_events(&self) {
        self.refusing.store(true, Ordering::Release);
    }

    /// Whether events are no longer carried out.
    pub(crate) fn refuses_events(&self) -> bool {
        self.refusing.load(Ordering::Acquire)
    }

    /// Whether new connections are refused because the node is going down.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Does something unless the node is going down.
    pub(crate) async fn unless_draining<F: Future>(&self, work: F) -> Option<F::Output> {
        self.draining.run_until_cancelled(work).await
    }

    /// Waits for `pause`, or until the node is going down.
    pub(crate) async fn pause(&self, pause: Duration) {
        timeout(pause, self.draining.cancelled()).await.ok();
    }
}
