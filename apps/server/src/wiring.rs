//! Which adapter stands behind which port. The only place that names more than one of them.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use game_realtime_admin_adapter::{Api, ApiParts};
use game_realtime_application::{
    DeliveryConfig, Expiry, TimelineLimits,
    limits::{Admission, EventBudgets},
    panics::Watchdog,
    ports::{
        Clock, ConnectionRepository, EventFeed, EventRepository, IdGenerator, KickOrders,
        StoreHealth,
    },
    start_delivery, start_kicks,
    trace::Traces,
    use_cases::{Broadcast, BuyGood, Connect, Disconnect, Publisher, SendMessage},
    wire::Events,
};
use game_realtime_domain::NodeId;
use game_realtime_embedded_adapter::{EmbeddedStore, OpenError};
use game_realtime_etcd_adapter::{self as etcd, EtcdStore};
use game_realtime_identity_adapter::start_verifier;
use game_realtime_otlp_adapter::{OtlpExport, Source};
use game_realtime_socketio_adapter::UseCases;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::{SystemClock, UuidV7Generator, system_time},
    config::{Backend, Config},
    usage_error::UsageError,
};

/// How long a client whose cursor is ahead of this node waits for the node to catch up.
const AHEAD_TIMEOUT: Duration = Duration::from_secs(2);

/// The store of this node, whichever it is.
pub(crate) struct Store {
    events: Arc<dyn EventRepository>,
    connections: Arc<dyn ConnectionRepository>,
    feed: Arc<dyn EventFeed>,
    kicks: Arc<dyn KickOrders>,
    pub(crate) health: Arc<dyn StoreHealth>,
    /// How long an event may wait for its commit.
    event_timeout: Duration,
    /// How long this node may be cut off from the store before it gives up its clients.
    isolation_grace: Option<Duration>,
    engine: Engine,
}

enum Engine {
    Embedded(EmbeddedStore),
    Etcd(EtcdStore),
}

impl Store {
    /// Opens the store that the configuration names. etcd need not answer yet.
    ///
    /// # Errors
    /// When the embedded store's file cannot be used, or a file with certificates cannot be read.
    pub(crate) async fn open(
        config: &Config,
        node_id: NodeId,
        watchdog: &Watchdog,
    ) -> anyhow::Result<Self> {
        match config.store.backend {
            Backend::Embedded => Self::embedded(config, watchdog.clone()).await,
            Backend::Etcd => Self::etcd(config, node_id, watchdog),
        }
    }

    async fn embedded(config: &Config, watchdog: Watchdog) -> anyhow::Result<Self> {
        let section = config.embedded.clone();
        let retention = config.events.retention_policy();
        let open =
            move || EmbeddedStore::open(&section, retention, Arc::new(SystemClock), &watchdog);
        let store = tokio::task::spawn_blocking(open).await?.map_err(|error| match error {
            OpenError::Inaccessible { .. } => UsageError::new(error.to_string()).into(),
            OpenError::InUse { .. }
            | OpenError::Damaged { .. }
            | OpenError::Newer { .. }
            | OpenError::Thread { .. } => anyhow::Error::from(error),
        })?;
        Ok(Self {
            events: Arc::new(store.event_repository()),
            connections: Arc::new(store.connection_repository()),
            feed: Arc::new(store.event_feed()),
            kicks: Arc::new(store.kick_orders()),
            health: Arc::new(store.store_health()),
            event_timeout: config.embedded.request_timeout,
            isolation_grace: None,
            engine: Engine::Embedded(store),
        })
    }

    fn etcd(config: &Config, node_id: NodeId, watchdog: &Watchdog) -> anyhow::Result<Self> {
        let options = etcd::Options { node_id, retention: config.events.retention_policy() };
        let store = EtcdStore::start(&config.etcd, options, Arc::new(SystemClock), watchdog)
            .map_err(|error| UsageError::new(error.to_string()))?;
        Ok(Self {
            events: store.events(),
            connections: store.connections(),
            feed: store.feed(),
            kicks: store.kicks(),
            health: store.health(),
            event_timeout: config.etcd.request_timeout,
            isolation_grace: Some(config.etcd.isolation_grace),
            engine: Engine::Etcd(store),
        })
    }

    /// Writes what was accepted and lets go of what this node holds.
    ///
    /// # Errors
    /// When the embedded store's file does not close cleanly.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        match &self.engine {
            Engine::Embedded(store) => store.close().await.context("the store did not close"),
            Engine::Etcd(store) => {
                store.close().await;
                Ok(())
            }
        }
    }
}

/// Starts the export of traces, if the configuration asks for it.
///
/// # Errors
/// When its endpoint cannot be used.
pub(crate) fn start_export(
    config: &Config,
    node_id: NodeId,
) -> Result<Option<OtlpExport>, UsageError> {
    let source = Source { node_id, version: env!("CARGO_PKG_VERSION"), now: system_time };
    OtlpExport::start(&config.telemetry.traces, source)
        .map_err(|error| UsageError::new(error.to_string()))
}

/// Builds the use cases on a store. `tasks` and `stop` own and end what runs beside them, `watchdog`
/// watches it.
///
/// # Errors
/// When the `auth` section cannot be used.
pub(crate) fn use_cases(
    config: &Config,
    store: &Store,
    node_id: NodeId,
    traces: &Traces,
    tasks: &TaskTracker,
    stop: CancellationToken,
    watchdog: &Watchdog,
) -> anyhow::Result<UseCases> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn IdGenerator> = Arc::new(UuidV7Generator);
    let verifier =
        start_verifier(&config.auth, tasks, stop.clone(), watchdog).map_err(|faults| {
            let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
            UsageError::new(lines.join("\n"))
        })?;
    let delivery = start_delivery(
        Arc::clone(&store.feed),
        Arc::clone(&clock),
        DeliveryConfig {
            timeline: TimelineLimits {
                age: config.events.replay_window,
                events: config.events.replay_events,
                bytes: config.events.replay_bytes,
            },
            ahead_timeout: AHEAD_TIMEOUT,
            isolation_grace: store.isolation_grace,
        },
        traces.clone(),
        tasks,
        stop.clone(),
        watchdog,
    );
    start_kicks(Arc::clone(&store.kicks), delivery.clone(), tasks, stop.clone(), watchdog);
    let expiry = Expiry::start(Arc::clone(&clock), tasks, stop.clone(), watchdog);
    let budgets = Arc::new(EventBudgets::new(config.limits.events()));
    let tidied = Arc::clone(&budgets);
    let tidy = async move { stop.run_until_cancelled(tidied.keep_tidy()).await };
    tasks.spawn(watchdog.clone().watch("event budgets", tidy));
    let admission = Arc::new(Admission::new(config.limits.caps(), config.limits.connection()));
    let connections = Arc::clone(&store.connections);
    let publisher = Arc::new(Publisher::new(
        Arc::clone(&store.events),
        Arc::clone(&clock),
        Arc::clone(&ids),
        config.namespaces.allowed(),
        budgets,
    ));
    Ok(UseCases {
        connect: Connect::new(node_id, admission, verifier, connections, clock, ids),
        disconnect: Disconnect::new(Arc::clone(&store.connections), delivery.clone()),
        events: Arc::new(Events {
            broadcast: Broadcast::new(Arc::clone(&publisher)),
            send_message: SendMessage::new(Arc::clone(&publisher)),
            buy_good: BuyGood::new(publisher),
            limits: config.limits.commands(),
        }),
        delivery,
        expiry,
        event_timeout: store.event_timeout,
        traces: traces.clone(),
    })
}

/// Builds the operators' API, if the configuration opens it. It is closed again once the node is
/// `draining`.
///
/// # Errors
/// When the token cannot be used.
pub(crate) fn api(
    config: &Config,
    store: &Store,
    use_cases: &UseCases,
    draining: CancellationToken,
) -> anyhow::Result<Option<Api>> {
    let token = config.admin.token().map_err(|weak| UsageError::new(weak.to_string()))?;
    Ok(token.map(|token| {
        Api::new(ApiParts {
            token,
            events: Arc::clone(&use_cases.events),
            log: Arc::clone(&store.events),
            connections: Arc::clone(&store.connections),
            kicks: Arc::clone(&store.kicks),
            payload_bytes: config.limits.payload_bytes,
            store_timeout: store.event_timeout,
            draining,
        })
    }))
}
