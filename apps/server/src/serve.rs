//! `serve`: open the store, wire it up, listen, and go down in order when told to.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::bail;
use game_realtime_admin_adapter::{self as admin, Metrics, Readiness};
use game_realtime_application::{
    panics::Watchdog,
    ports::{Clock as _, IdGenerator as _},
};
use game_realtime_domain::NodeId;
use game_realtime_otlp_adapter::OtlpExport;
use game_realtime_socketio_adapter::SocketIoServer;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    banner,
    clock::{SystemClock, UuidV7Generator},
    config::{Config, Loaded, LogFormat},
    log_output::LogOutput,
    signals::stop_on_signal,
    usage_error::UsageError,
    wiring::{self, Store},
};

/// The part of the grace that clients get; the rest is for the store.
const CLIENTS_PART: f64 = 0.7;
/// How long the store has when the node cannot go on.
const LAST_WRITES: Duration = Duration::from_secs(1);

/// Serves until a signal ends it.
///
/// # Errors
/// [`UsageError`] when something the configuration names cannot be used, anything else when the
/// server fails.
pub(crate) async fn run(loaded: Loaded, log: &Arc<LogOutput>) -> anyhow::Result<()> {
    let Loaded { config, settings } = loaded;
    let not_bound = |key: &str, error: &io::Error| {
        UsageError::from(settings.fault(key, format!("cannot listen: {error}")))
    };
    let watchdog = Watchdog::new();
    let stop = stop_on_signal(&watchdog, Arc::clone(log))?;
    let metrics = Metrics::install()?;
    let node_id = NodeId(UuidV7Generator.next(SystemClock.now()));
    let admin_listener =
        admin::bind(&config.admin).await.map_err(|error| not_bound("admin.port", &error))?;
    let admin_address = admin_listener.local_addr();

    let export = wiring::start_export(&config, node_id)?;
    let traces = export.as_ref().map(OtlpExport::traces).unwrap_or_default();
    let store = Store::open(&config, node_id, &watchdog).await?;
    let tasks = TaskTracker::new();
    let delivery_stop = CancellationToken::new();
    let stop_delivery = delivery_stop.clone();
    let use_cases =
        wiring::use_cases(&config, &store, node_id, &traces, &tasks, stop_delivery, &watchdog)?;
    let api = wiring::api(&config, &store, &use_cases, stop.clone())?;
    let delivery = use_cases.delivery.clone();
    let server = SocketIoServer::bind(&config.http, config.limits.clone(), use_cases, &watchdog)
        .await
        .map_err(|error| not_bound("http.port", &error))?;

    let readiness = Readiness::new(
        Arc::clone(&store.health),
        Box::new(move || delivery.feed_age()),
        stop.clone(),
    );
    let admin_stop = CancellationToken::new();
    let admin = admin::serve(admin_listener, readiness, metrics, api, admin_stop.clone());
    tasks.spawn(watchdog.clone().watch("admin port", admin));
    announce(&config, node_id, server.local_addr()?, admin_address);

    // Among the tasks that serve the clients, so that it takes turns with them.
    let served = server.run(stop.clone(), config.shutdown.grace.mul_f64(CLIENTS_PART));
    let served = tokio::spawn(watchdog.clone().watch("listener", served));
    tokio::select! {
        biased;
        task = watchdog.alarm() => return give_up(task, &stop, &store).await,
        served = served => served?,
    }

    let deadline = Instant::now() + config.shutdown.grace.mul_f64(1.0 - CLIENTS_PART);
    delivery_stop.cancel();
    admin_stop.cancel();
    tasks.close();
    let closed = async {
        let closed = store.close().await;
        tasks.wait().await;
        closed
    };
    let exported = async {
        if let Some(export) = export {
            export.close(deadline).await;
        }
    };
    let (closed, ()) = tokio::join!(timeout_at(deadline, closed), exported);
    match closed {
        Ok(closed) => closed?,
        Err(_elapsed) => warn!("the store did not close in time"),
    }
    if let Some(task) = watchdog.alarmed() {
        bail!("the task \"{task}\" panicked");
    }
    info!("stopped");
    Ok(())
}

/// Ends a node that cannot go on, quickly: it is no longer ready, its clients find another one.
///
/// # Errors
/// Always, that is what it is for.
async fn give_up(
    task: &'static str,
    stop: &CancellationToken,
    store: &Store,
) -> anyhow::Result<()> {
    error!(task, "stopping at once");
    stop.cancel();
    // What was accepted is written, and etcd need not wait for the leases to end; if it works.
    timeout(LAST_WRITES, store.close()).await.ok();
    bail!("the task \"{task}\" panicked")
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
