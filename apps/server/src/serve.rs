//! `serve`: open the store, wire it up, listen, and go down in order when told to.

use std::{io, net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use game_realtime_admin_adapter::{self as admin, Metrics, Readiness};
use game_realtime_application::ports::{Clock as _, IdGenerator as _};
use game_realtime_domain::NodeId;
use game_realtime_socketio_adapter::SocketIoServer;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    banner,
    clock::{SystemClock, UuidV7Generator},
    config::{Config, Loaded, LogFormat},
    usage_error::UsageError,
    wiring::{self, Store},
};

/// The part of the grace that clients get; the rest is for the store.
const CLIENTS_PART: f64 = 0.7;

/// Serves until a signal ends it.
///
/// # Errors
/// [`UsageError`] when something the configuration names cannot be used, anything else when the
/// server fails.
pub(crate) async fn run(loaded: Loaded) -> anyhow::Result<()> {
    let Loaded { config, settings } = loaded;
    let not_bound = |key: &str, error: &io::Error| {
        UsageError::from(settings.fault(key, format!("cannot listen: {error}")))
    };
    let stop = stop_on_signal()?;
    let metrics = Metrics::install()?;
    let node_id = NodeId(UuidV7Generator.next(SystemClock.now()));
    let admin_listener =
        admin::bind(&config.admin).await.map_err(|error| not_bound("admin.port", &error))?;
    let admin_address = admin_listener.local_addr();

    let store = Store::open(&config, node_id).await?;
    let tasks = TaskTracker::new();
    let delivery_stop = CancellationToken::new();
    let use_cases = wiring::use_cases(&config, &store, node_id, &tasks, delivery_stop.clone())?;
    let api = wiring::api(&config, &store, &use_cases, stop.clone())?;
    let delivery = use_cases.delivery.clone();
    let server = SocketIoServer::bind(&config.http, config.limits.clone(), use_cases)
        .await
        .map_err(|error| not_bound("http.port", &error))?;

    let readiness = Readiness::new(
        Arc::clone(&store.health),
        Box::new(move || delivery.feed_age()),
        stop.clone(),
    );
    let admin_stop = CancellationToken::new();
    tasks.spawn(admin::serve(admin_listener, readiness, metrics, api, admin_stop.clone()));
    announce(&config, node_id, server.local_addr()?, admin_address);

    // Among the tasks that serve the clients, so that it takes turns with them.
    tokio::spawn(server.run(stop.clone(), config.shutdown.grace.mul_f64(CLIENTS_PART))).await?;

    let deadline = Instant::now() + config.shutdown.grace.mul_f64(1.0 - CLIENTS_PART);
    delivery_stop.cancel();
    admin_stop.cancel();
    tasks.close();
    let closed = async {
        let closed = store.close().await;
        tasks.wait().await;
        closed
    };
    match timeout_at(deadline, closed).await {
        Ok(closed) => closed?,
        Err(_elapsed) => warn!("the store did not close in time"),
    }
    info!("stopped");
    Ok(())
}

/// A token that the first signal cancels. The second one ends the process at once.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let stop = CancellationToken::new();
    let first = stop.clone();
    // Ends with the process.
    tokio::spawn(async move {
        let mut signaled = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = signaled().await;
        info!(signal = name, "stopping");
        first.cancel();
        let name = signaled().await;
        warn!(signal = name, "stopping at once");
        std::process::exit(1);
    });
    Ok(stop)
}

fn announce(config: &Config, node_id: NodeId, http: SocketAddr, admin: SocketAddr) {
    info!(
        node.id = %node_id,
        http = %http,
        admin = %admin,
        store = ?config.store.backend,
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    match config.log.format {
        LogFormat::Json => {}
        LogFormat::Pretty => banner::print(http, &config.http.base_path),
    }
}
