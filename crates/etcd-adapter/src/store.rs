//! The whole store of one node: builds the parts, starts their tasks, ends them.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use game_realtime_application::{
    RetentionPolicy,
    panics::Watchdog,
    ports::{Clock, ConnectionRepository, EventFeed, EventRepository, KickOrders, StoreHealth},
};
use game_realtime_domain::NodeId;
use tokio::{sync::Notify, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    cluster::{Cluster, TlsFileError},
    config::Config,
    connection_repository::EtcdConnectionRepository,
    epoch::EpochCell,
    event_feed::EtcdEventFeed,
    health::EtcdStoreHealth,
    heard_orders::HeardOrders,
    housekeeping::Housekeeper,
    keeper::Keeper,
    keys::Keys,
    kick_listener::KickListener,
    kick_orders::EtcdKickOrders,
    leases::Leases,
    local_registry::LocalRegistry,
    log::{
        reader::LogReader,
        repository::EtcdEventRepository,
        segments::{SegmentLimits, Segments},
    },
    mender::Mender,
    receipt_leases::ReceiptLeases,
    reconciler::Reconciler,
    write_queue::WriteQueue,
    writer::Writer,
};

/// What the store needs to know besides the `etcd` section.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whose registrations these are.
    pub node_id: NodeId,
    /// How long events and receipts are kept.
    pub retention: RetentionPolicy,
}

/// The ports on etcd, for one node.
pub struct EtcdStore {
    events: Arc<EtcdEventRepository>,
    connections: Arc<EtcdConnectionRepository>,
    feed: Arc<EtcdEventFeed>,
    health: Arc<EtcdStoreHealth>,
    kicks: Arc<EtcdKickOrders>,
    leases: Arc<Leases>,
    request_timeout: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl EtcdStore {
    /// Starts the node's part of the store, in tasks that `watchdog` watches. etcd need not answer yet.
    ///
    /// # Errors
    /// When a file that the configuration names cannot be read.
    pub fn start(
        config: &Config,
        options: Options,
        clock: Arc<dyn Clock>,
        watchdog: &Watchdog,
    ) -> Result<Self, TlsFileError> {
        let cluster = Arc::new(Cluster::new(config, options.node_id)?);
        cluster.space().publish();
        let keys = Keys::new(&config.prefix);
        let space_budget = Some(config.space_budget.as_u64()).filter(|budget| *budget > 0);
        let segments = Arc::new(Segments::new(SegmentLimits::within(space_budget)));
        let epoch = Arc::new(EpochCell::new(
            Arc::clone(&cluster),
            keys.clone(),
            Arc::clone(&clock),
            Arc::clone(&segments),
        ));
        let log = LogReader {
            cluster: Arc::clone(&cluster),
            keys: keys.clone(),
            segments,
            unreadable: Arc::default(),
        };
        let leases = Arc::new(Leases::new(Arc::clone(&cluster), config.lease_ttl));
        let receipts = Arc::new(ReceiptLeases::new(
            Arc::clone(&leases),
            log.clone(),
            options.retention,
            Arc::clone(&clock),
        ));
        let registry = Arc::new(LocalRegistry::default());
        let orders = Arc::new(HeardOrders::new(Arc::clone(&registry)));
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let writes = WriteQueue::new(cluster.request_timeout(), |lane, pause, queue| {
            let writer = Writer {
                clock: Arc::clone(&clock),
                log: log.clone(),
                epoch: Arc::clone(&epoch),
                leases: Arc::clone(&leases),
                receipts: Arc::clone(&receipts),
                registry: Arc::clone(&registry),
                failing: AtomicBool::new(false),
                lane,
                pause,
            };
            tasks.spawn(watchdog.clone().watch("etcd writer", writer.run(queue, stop.clone())));
        });
        let mend = Arc::new(Notify::new());
        let keeper = Keeper {
            cluster: Arc::clone(&cluster),
            epoch: Arc::clone(&epoch),
            leases: Arc::clone(&leases),
            registry: Arc::clone(&registry),
            mend: Arc::clone(&mend),
        };
        let reconciler = Reconciler {
            cluster: Arc::clone(&cluster),
            keys: keys.clone(),
            leases: Arc::clone(&leases),
            registry: Arc::clone(&registry),
            turn: 0,
        };
        let mender = Mender {
            cluster: Arc::clone(&cluster),
            leases: Arc::clone(&leases),
            registry: Arc::clone(&registry),
            orders: Arc::clone(&orders),
            reconciler,
            lanes: writes.downgrade(),
            asked: mend,
        };
        let keeper = stop.clone().run_until_cancelled_owned(keeper.run());
        let mender = stop.clone().run_until_cancelled_owned(mender.run());
        tasks.spawn(watchdog.clone().watch("lease keeper", keeper));
        tasks.spawn(watchdog.clone().watch("registry mender", mender));
        let listener = KickListener {
            cluster: Arc::clone(&cluster),
            keys: keys.clone(),
            heard: Arc::clone(&orders),
        };
        let listener = stop.clone().run_until_cancelled_owned(listener.run());
        tasks.spawn(watchdog.clone().watch("kick listener", listener));
        let kicks = EtcdKickOrders::new(
            Arc::clone(&cluster),
            keys.clone(),
            Arc::clone(&leases),
            Arc::clone(&orders),
            config.isolation_grace,
        );
        let housekeeper = Housekeeper {
            node_id: options.node_id,
            log: log.clone(),
            leases: Arc::clone(&leases),
            clock: Arc::clone(&clock),
            retention: options.retention,
            space_budget,
            compaction_interval: Some(config.compaction_interval).filter(|it| !it.is_zero()),
        };
        let housekeeper = stop.clone().run_until_cancelled_owned(housekeeper.run());
        tasks.spawn(watchdog.clone().watch("housekeeper", housekeeper));
        Ok(Self {
            events: Arc::new(EtcdEventRepository {
                writes: writes.clone(),
                log: log.clone(),
                epoch: Arc::clone(&epoch),
            }),
            connections: Arc::new(EtcdConnectionRepository {
                cluster,
                keys,
                leases: Arc::clone(&leases),
                registry,
                orders,
                writes,
            }),
            feed: Arc::new(EtcdEventFeed::new(Arc::clone(&epoch), log, clock)),
            health: Arc::new(EtcdStoreHealth { epoch, leases: Arc::clone(&leases) }),
            kicks: Arc::new(kicks),
            leases,
            request_timeout: config.request_timeout,
            tasks,
            stop,
        })
    }

    /// The event log.
    #[must_use]
    pub fn events(&self) -> Arc<dyn EventRepository> {
        Arc::clone(&self.events) as _
    }

    /// The connection registry.
    #[must_use]
    pub fn connections(&self) -> Arc<dyn ConnectionRepository> {
        Arc::clone(&self.connections) as _
    }

    /// The feed.
    #[must_use]
    pub fn feed(&self) -> Arc<dyn EventFeed> {
        Arc::clone(&self.feed) as _
    }

    /// The readiness of the store.
    #[must_use]
    pub fn health(&self) -> Arc<dyn StoreHealth> {
        Arc::clone(&self.health) as _
    }

    /// The orders that connections be ended.
    #[must_use]
    pub fn kicks(&self) -> Arc<dyn KickOrders> {
        Arc::clone(&self.kicks) as _
    }

    /// Writes what is queued, takes nothing more, and takes everything of this node out of etcd.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        // What is not written by then goes with the leases.
        timeout(self.request_timeout, self.tasks.wait()).await.ok();
        self.leases.revoke().await;
    }
}
