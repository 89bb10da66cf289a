//! One embedded store: opens the file and hands out the ports on it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use game_realtime_application::{
    KickQueue,
    panics::Watchdog,
    ports::{Clock, StoreError},
};
use game_realtime_domain::Epoch;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    Config, EmbeddedConnectionRepository, EmbeddedEventFeed, EmbeddedEventRepository,
    EmbeddedKickOrders, EmbeddedStoreHealth, OpenError,
    database::{Database, Length, Opener, State},
    file,
    registry::Registry,
    writer::{Keeping, Writer, WriterHandle},
};
use game_realtime_application::RetentionPolicy;

/// The `embedded.path` of a store that keeps nothing.
const IN_MEMORY: &str = ":memory:";

/// An open store. The file closes on [`close`](Self::close), or when this and every event repository
/// and health port of it is dropped: the last drop waits until what was accepted is on the disk.
pub struct EmbeddedStore {
    database: Arc<Database>,
    registry: Arc<Registry>,
    kicks: Arc<KickQueue>,
    epoch: Epoch,
    head: watch::Receiver<u64>,
    clock: Arc<dyn Clock>,
    writer: Arc<WriterHandle>,
}

impl EmbeddedStore {
    /// Opens the file, or creates it. Blocks: a small file is read as a whole and its checksums
    /// verified, one of an earlier format is upgraded. `watchdog` watches the thread that writes.
    ///
    /// # Errors
    /// [`OpenError`], which says what to do.
    pub fn open(
        config: &Config,
        retention: RetentionPolicy,
        clock: Arc<dyn Clock>,
        watchdog: &Watchdog,
    ) -> Result<Self, OpenError> {
        let path = PathBuf::from(&config.path);
        let damaged = |reason: String| OpenError::Damaged { path: path.clone(), reason };
        let new_epoch = new_epoch(&*clock).map_err(|error| damaged(error.to_string()))?;
        let database = if config.path == IN_MEMORY {
            let (database, length) =
                file::in_memory(&new_epoch).map_err(|fault| damaged(fault.to_string()))?;
            Database::new(database, None, length)
        } else {
            let database = file::open_or_create(&path, &new_epoch, file::CHECKED)?;
            Database::new(database, Some(opener(&path)), length_of(&path))
        };
        let state = database.state().map_err(|fault| damaged(fault.to_string()))?;
        let keeping = Keeping { retention, space_budget: config.space_budget.as_u64() };
        Self::start(Arc::new(database), state, config.request_timeout, keeping, clock, watchdog)
            .map_err(|cause| OpenError::Thread { cause })
    }

    /// The port to the event log.
    #[must_use]
    pub fn event_repository(&self) -> EmbeddedEventRepository {
        EmbeddedEventRepository::new(
            Arc::clone(&self.database),
            Arc::clone(&self.writer),
            self.epoch.clone(),
            self.head.clone(),
        )
    }

    /// The port to everything that happens.
    #[must_use]
    pub fn event_feed(&self) -> EmbeddedEventFeed {
        EmbeddedEventFeed::new(
            Arc::clone(&self.database),
            self.epoch.clone(),
            self.head.clone(),
            Arc::clone(&self.clock),
        )
    }

    /// The port to the registry.
    #[must_use]
    pub fn connection_repository(&self) -> EmbeddedConnectionRepository {
        EmbeddedConnectionRepository::new(Arc::clone(&self.registry))
    }

    /// The port to the orders that connections be ended.
    #[must_use]
    pub fn kick_orders(&self) -> EmbeddedKickOrders {
        EmbeddedKickOrders::new(Arc::clone(&self.registry), Arc::clone(&self.kicks))
    }

    /// The port that says whether the store can be relied on.
    #[must_use]
    pub fn store_health(&self) -> EmbeddedStoreHealth {
        EmbeddedStoreHealth::new(Arc::clone(&self.writer))
    }

    /// Commits what was accepted, refuses everything else, and closes the file. Closing twice is
    /// no error.
    ///
    /// # Errors
    /// When the file does not close in time or not cleanly. What was acknowledged is safe even so.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.writer.close().await
    }

    pub(crate) fn start(
        database: Arc<Database>,
        State { epoch, ledger }: State,
        request_timeout: Duration,
        keeping: Keeping,
        clock: Arc<dyn Clock>,
        watchdog: &Watchdog,
    ) -> std::io::Result<Self> {
        let registry = Arc::<Registry>::default();
        let (head_sender, head) = watch::channel(ledger.last_event);
        let writer = Writer::new(
            Arc::clone(&database),
            Arc::clone(&registry),
            epoch.clone(),
            head_sender,
            keeping,
            Arc::clone(&clock),
        );
        let writer = Arc::new(writer.start(request_timeout, watchdog)?);
        let kicks = Arc::default();
        Ok(Self { database, registry, kicks, epoch, head, clock, writer })
    }
}

fn new_epoch(clock: &dyn Clock) -> Result<Epoch, game_realtime_domain::InvalidCursor> {
    let now = clock.now().as_millis();
    let subsecond = u32::try_from(now % 1000).unwrap_or_default() * 1_000_000;
    let timestamp = uuid::Timestamp::from_unix(uuid::NoContext, now / 1000, subsecond);
    Epoch::parse(Uuid::new_v7(timestamp).simple().to_string())
}

fn opener(path: &Path) -> Opener {
    let path = path.to_owned();
    Box::new(move || file::reopen(&path))
}

fn length_of(path: &Path) -> Length {
    let path = path.to_owned();
    Box::new(move || std::fs::metadata(&path).map_or(0, |metadata| metadata.len()))
}
