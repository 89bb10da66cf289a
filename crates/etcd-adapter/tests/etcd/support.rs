//! A real etcd and stores on it, for the tests of this crate.

mod errors;
mod meddler;
mod member;
mod raw;
mod recorder;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytesize::ByteSize;
use game_realtime_application::{RetentionPolicy, panics::Watchdog, ports::Clock};
use game_realtime_contract::{
    ConnectionBuilder, EVERYTHING, EventBuilder, WallClock, keeping, unique_id,
};
use game_realtime_domain::NodeId;
use game_realtime_e2e::Etcd;
use game_realtime_etcd_adapter::{Config, EtcdStore, Options, TlsConfig};
use tokio::{
    sync::OnceCell,
    task::JoinHandle,
    time::{Instant, sleep},
};

pub(crate) use self::{
    errors::Errors, meddler::Meddler, member::Member, raw::Raw, recorder::Recorder,
};

const POLL_INTERVAL: Duration = Duration::from_millis(20);
const READY_WITHIN: Duration = Duration::from_secs(10);

/// One etcd for all tests of a file: each test has a prefix of its own.
pub(crate) async fn shared_etcd() -> &'static Etcd {
    static ETCD: OnceCell<Etcd> = OnceCell::const_new();
    ETCD.get_or_init(Etcd::start).await
}

/// The configuration of a store that nobody else uses.
pub(crate) fn config(endpoint: &str) -> Config {
    Config {
        endpoints: vec![endpoint.to_owned()],
        dial_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(3),
        username: String::new(),
        password: String::new().into(),
        prefix: format!("/test/{}", unique_id()),
        lease_ttl: Duration::from_secs(10),
        isolation_grace: Duration::from_secs(60),
        space_budget: ByteSize::gib(1),
        compaction_interval: Duration::ZERO,
        tls: TlsConfig::default(),
    }
}

/// The defaults, for a node of its own.
pub(crate) fn options() -> Options {
    Options {
        node_id: NodeId(unique_id()),
        retention: RetentionPolicy {
            replay_window: Duration::from_secs(600),
            ..keeping(Duration::from_secs(24 * 3600), 10_000, Duration::from_secs(24 * 3600))
        },
    }
}

/// The same, with as many of the newest events kept whatever their age.
pub(crate) fn at_least_kept(events: usize) -> Options {
    let retention = RetentionPolicy { replay_events: events, ..options().retention };
    Options { retention, ..options() }
}

/// A fresh, empty store.
pub(crate) fn store(endpoint: &str) -> EtcdStore {
    node(&config(endpoint), options(), Arc::new(WallClock))
}

/// A node's store.
pub(crate) fn node(config: &Config, options: Options, clock: Arc<dyn Clock>) -> EtcdStore {
    EtcdStore::start(config, options, clock, &Watchdog::new()).expect("no files to read")
}

/// Follows a store's feed, as every node does: it is how a store learns what is written.
pub(crate) struct Following {
    task: JoinHandle<()>,
    events: Arc<AtomicUsize>,
}

impl Following {
    pub(crate) async fn start(store: &EtcdStore) -> Self {
        let feed = store.feed();
        let history = feed.recent(EVERYTHING).await.expect("the feed is read");
        let events = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&events);
        let task = tokio::spawn(async move {
            let mut head = history.head;
            loop {
                let Ok(mut stream) = feed.follow(&history.epoch, head).await else {
                    sleep(POLL_INTERVAL).await;
                    continue;
                };
                while let Ok(update) = stream.next().await {
                    head = update.head;
                    seen.fetch_add(update.events.len(), Ordering::Relaxed);
                }
            }
        });
        Self { task, events }
    }

    /// How many events came.
    pub(crate) fn events(&self) -> usize {
        self.events.load(Ordering::Relaxed)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks again and again until the answer is yes. Returns how long that took.
pub(crate) async fn until<F>(what: &str, limit: Duration, mut asked: impl FnMut() -> F) -> Duration
where
    F: Future<Output = bool>,
{
    let started = Instant::now();
    while !asked().await {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(POLL_INTERVAL).await;
    }
    started.elapsed()
}

/// Broadcasts once; what etcd or the node had against it.
pub(crate) async fn append(store: &EtcdStore) -> Result<(), String> {
    let alice = ConnectionBuilder::player("alice").build();
    let appended = store.events().append(EventBuilder::from(&alice).broadcast("hi")).await;
    appended.map(|_| ()).map_err(|error| format!("{error:?}"))
}

/// Waits until a node has its store.
pub(crate) async fn ready(store: &EtcdStore) {
    until("the node is ready", READY_WITHIN, || async { store.health().check().await.is_ok() })
        .await;
}
