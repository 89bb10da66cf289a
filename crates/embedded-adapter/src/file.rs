//! The file: how it comes into being and how it is opened.

use std::{
    fs, io,
    panic::catch_unwind,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use game_realtime_domain::Epoch;
use redb::{Builder, DatabaseError, StorageBackend, StorageError, backends::InMemoryBackend};
use uuid::Uuid;

use crate::{
    OpenError,
    database::Length,
    fault::Fault,
    ledger::Ledger,
    records,
    tables::{
        EPOCH, EVENT_PARTS, EVENTS, EVENTS_BY_TYPE, FORMAT, IDENTITY, PROGRESS, PURCHASE_RECEIPTS,
        RECEIPTS, STATE_RECEIPTS,
    },
    upgrade,
};

/// Pages that redb keeps in memory, in bytes. Its own default, 1 GiB, is a lot beside a gateway.
const CACHE: usize = 64 * 1024 * 1024;

/// How long a file may be for every page of it to be checked when it is opened, in bytes. That
/// reads all of it: 0.8 s for so much in the memory of the system.
pub(crate) const CHECKED: u64 = 256 * 1024 * 1024;

/// A new, empty store without a file, and how long the file would be.
pub(crate) fn in_memory(epoch: &Epoch) -> Result<(redb::Database, Length), Fault> {
    let memory = Memory::default();
    let length = Arc::clone(&memory.length);
    let database = builder().create_with_backend(memory)?;
    initialise(&database, epoch)?;
    Ok((database, Box::new(move || length.load(Ordering::Relaxed))))
}

/// Opens the file at `path`, after creating it if there is none, and upgrades it to the present
/// format.
///
/// redb trusts what it reads. Of a file of up to `checked` bytes the checksum of every page is
/// verified first. That would take too long for a larger one: there, damage is noticed when it is
/// read, by the seals of the records and the numbers of the events.
///
/// An empty file is not taken for a new store: one that was cut short must not pass for one in
/// which nothing happened.
pub(crate) fn open_or_create(
    path: &Path,
    epoch: &Epoch,
    checked: u64,
) -> Result<redb::Database, OpenError> {
    let inaccessible = |cause| OpenError::Inaccessible { path: path.to_owned(), cause };
    let damaged = |reason: String| OpenError::Damaged { path: path.to_owned(), reason };
    let check = match fs::metadata(path) {
        Ok(metadata) if metadata.len() == 0 => return Err(damaged("the file is empty".to_owned())),
        Ok(metadata) => metadata.len() <= checked,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path, epoch)?;
            true
        }
        Err(error) => return Err(inaccessible(error)),
    };
    let target = path.to_owned();
    let mut database =
        catch_unwind(move || builder().set_check_integrity_on_open(check).open(target))
            .map_err(|_| damaged("reading it failed".to_owned()))?
            .map_err(|error| OpenError::from_database(path.to_owned(), error))?;
    let found =
        Fault::catch(|| upgrade::format(&database)).map_err(|fault| damaged(fault.to_string()))?;
    if found > records::FORMAT {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: records::FORMAT });
    }
    if found < records::FORMAT {
        Fault::catch(|| upgrade::upgrade(&mut database, check))
            .map_err(|fault| damaged(fault.to_string()))?;
    }
    Ok(database)
}

/// Opens the file again after a failure, without another look at every page.
pub(crate) fn reopen(path: &Path) -> Result<redb::Database, DatabaseError> {
    builder().open(path)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

/// Creates the file under another name and moves it to its own once it is complete: a crash on
/// the way leaves no half store behind.
fn create(path: &Path, epoch: &Epoch) -> Result<(), OpenError> {
    let inaccessible = |cause| OpenError::Inaccessible { path: path.to_owned(), cause };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(directory).map_err(inaccessible)?;
    let staged = staged_path(path);
    let created = write_new(&staged, epoch).and_then(|()| publish(&staged, path, directory));
    // After a success the name is one of two, or gone; after a failure nobody needs the file.
    fs::remove_file(&staged).ok();
    created.map_err(inaccessible)
}

fn write_new(staged: &Path, epoch: &Epoch) -> io::Result<()> {
    let created = builder().create(staged);
    if let Err(DatabaseError::Storage(StorageError::Io(error))) = created {
        return Err(error);
    }
    let database = created.map_err(io::Error::other)?;
    initialise(&database, epoch).map_err(io::Error::other)?;
    database.close().map_err(io::Error::other)
}

/// Gives the staged file its name, unless another process was faster: then that one's stays.
fn publish(staged: &Path, path: &Path, directory: &Path) -> io::Result<()> {
    match fs::hard_link(staged, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        // Not every file system has links.
        Err(_) => fs::rename(staged, path)?,
    }
    // The name has to survive a power failure too.
    fs::File::open(directory)?.sync_all()
}

fn staged_path(path: &Path) -> PathBuf {
    // Random in its last part, whatever the time.
    let timestamp = uuid::Timestamp::from_unix(uuid::NoContext, 0, 0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", Uuid::new_v7(timestamp).simple()));
    path.with_file_name(name)
}

/// Creates every table, so that readers find them.
fn initialise(database: &redb::Database, epoch: &Epoch) -> Result<(), Fault> {
    let transaction = database.begin_write()?;
    transaction.open_table(EVENTS)?;
    transaction.open_table(EVENT_PARTS)?;
    transaction.open_table(EVENTS_BY_TYPE)?;
    transaction.open_table(RECEIPTS)?;
    transaction.open_table(STATE_RECEIPTS)?;
    transaction.open_table(PURCHASE_RECEIPTS)?;
    transaction.open_table(IDENTITY)?.insert(EPOCH, epoch.as_str())?;
    {
        let mut progress = transaction.open_table(PROGRESS)?;
        progress.insert(FORMAT, records::FORMAT)?;
        Ledger::default().save(&mut progress)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Memory that says how much there is of it.
#[derive(Debug, Default)]
struct Memory {
    backend: InMemoryBackend,
    length: Arc<AtomicU64>,
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.length.store(length, Ordering::Relaxed);
        self.backend.set_len(length)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.backend.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.backend.write(offset, data)
    }
}
