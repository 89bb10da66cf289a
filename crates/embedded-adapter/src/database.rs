//! The open file: shared by all who read and the one who writes, and replaceable under them.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use game_realtime_application::ports::{StoreError, StoreErrorKind};
use game_realtime_domain::Epoch;
use redb::{CompactionError, DatabaseError, ReadTransaction, ReadableDatabase, WriteTransaction};

use crate::{
    fault::Fault,
    ledger::Ledger,
    tables::{EPOCH, IDENTITY, PROGRESS},
    unreadable::Unreadables,
};

/// How a file is opened again. `None` for one that would be empty then.
pub(crate) type Opener = Box<dyn Fn() -> Result<redb::Database, DatabaseError> + Send + Sync>;
/// How long the file is, in bytes.
pub(crate) type Length = Box<dyn Fn() -> u64 + Send + Sync>;

/// One store's database. After an input or output error redb refuses all work until the file was
/// closed and opened again: the writer does that.
pub(crate) struct Database {
    opener: Option<Opener>,
    length: Length,
    /// Records that readers passed over.
    pub(crate) unreadables: Unreadables,
    /// `None` while closed.
    open: RwLock<Option<redb::Database>>,
    /// How many times the file was opened.
    generation: AtomicU64,
    /// The last of these in which a reader met an error that may concern everybody.
    suspect: AtomicU64,
}

/// What the file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) epoch: Epoch,
    pub(crate) ledger: Ledger,
}

impl Database {
    pub(crate) fn new(open: redb::Database, opener: Option<Opener>, length: Length) -> Self {
        Self {
            opener,
            length,
            unreadables: Unreadables::default(),
            open: RwLock::new(Some(open)),
            generation: AtomicU64::new(1),
            suspect: AtomicU64::new(0),
        }
    }

    /// Reads on a thread that may block, for at most `limit`.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        limit: Duration,
        work: impl FnOnce(&ReadTransaction) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            let generation = database.generation.load(Ordering::Acquire);
            let result = Fault::catch(|| work(&database.begin_read()?));
            if let Err(fault) = &result
                && fault.kind == StoreErrorKind::Unavailable
            {
                database.suspect.fetch_max(generation, Ordering::AcqRel);
            }
            result
        });
        match tokio::time::timeout(limit, reading).await {
            Ok(Ok(result)) => result.map_err(StoreError::from),
            Ok(Err(_)) => Err(StoreError::unavailable("the runtime is shutting down")),
            Err(_) => Err(StoreError::unavailable(format!("reading took longer than {limit:?}"))),
        }
    }

    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, Fault> {
        self.with_open(|open| Ok(open.begin_read()?))
    }

    /// For the writer only.
    pub(crate) fn begin_write(&self) -> Result<WriteTransaction, Fault> {
        self.with_open(|open| Ok(open.begin_write()?))
    }

    /// How long the file is, in bytes.
    pub(crate) fn length(&self) -> u64 {
        (self.length)()
    }

    /// For the writer only: moves what is at the end of the file to where there is room, and cuts
    /// the file. Nobody reads or writes meanwhile; does nothing while somebody reads.
    pub(crate) fn compact(&self) -> Result<(), Fault> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = open.as_mut() else { return Ok(()) };
        Fault::catch(|| match open.compact() {
            Ok(_) | Err(CompactionError::TransactionInProgress) => Ok(()),
            Err(CompactionError::Storage(error)) => Err(error.into()),
            Err(error) => Err(Fault::unavailable(error.to_string())),
        })
    }

    /// Whether a reader has met an error since the file was opened.
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Acquire) == self.generation.load(Ordering::Acquire)
    }

    /// Closes the file and opens it again. Readers fail meanwhile.
    pub(crate) fn reopen(&self) -> Result<State, Fault> {
        if let Some(opener) = &self.opener {
            self.close().ok();
            let open = Fault::catch(|| Ok(opener()?))?;
            *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(open);
        }
        // Readers that failed because the file was closed failed in the generation before.
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.state()
    }

    /// Closes the file. Transactions that read it fail from now on.
    pub(crate) fn close(&self) -> Result<(), Fault> {
        let open = self.open.write().unwrap_or_else(PoisonError::into_inner).take();
        open.map_or(Ok(()), |open| Fault::catch(|| Ok(open.close()?)))
    }

    /// Reads what the file says about itself, and whether it agrees with what it holds.
    pub(crate) fn state(&self) -> Result<State, Fault> {
        Fault::catch(|| {
            let transaction = self.begin_read()?;
            let missing = || Fault::corrupt("the file does not say what it is");
            let identity = transaction.open_table(IDENTITY)?;
            let epoch = identity.get(EPOCH)?.ok_or_else(missing)?;
            let epoch = Epoch::parse(epoch.value()).map_err(|_| missing())?;
            let ledger = Ledger::load(&transaction.open_table(PROGRESS)?)?;
            if ledger.agrees_with(&transaction)? {
                Ok(State { epoch, ledger })
            } else {
                Err(Fault::corrupt("events or receipts are missing"))
            }
        })
    }

    fn with_open<T>(
        &self,
        work: impl FnOnce(&redb::Database) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map_or_else(|| Err(Fault::unavailable("the store is closed")), work)
    }
}
