//! The file: how it comes into being and how it is opened.

use std::{
    fs, io,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use game_realtime_domain::Epoch;
use redb::{Builder, DatabaseError, StorageError, backends::InMemoryBackend};
use uuid::Uuid;

use crate::{
    OpenError,
    fault::Fault,
    records,
    tables::{
        EPOCH, EVENTS, EVENTS_BY_TYPE, FORMAT, IDENTITY, LAST_EVENT, PROGRESS, PRUNED_UP_TO,
        RECEIPTS, RECEIPTS_BY_AGE,
    },
};

/// Pages that redb keeps in memory, in bytes. Its own default, 1 GiB, is a lot beside a gateway.
const CACHE: usize = 64 * 1024 * 1024;

/// A new, empty store without a file.
pub(crate) fn in_memory(epoch: &Epoch) -> Result<redb::Database, Fault> {
    let database = builder().create_with_backend(InMemoryBackend::new())?;
    initialise(&database, epoch)?;
    Ok(database)
}

/// Opens the file at `path`, after creating it if there is none, and checks the checksum of every
/// page: redb trusts what it reads later. That reads the whole file once, as redb itself does
/// after a crash (measured: 0.1 s for 70 MB that the system has in memory).
///
/// An empty file is not taken for a new store: one that was cut short must not pass for one in
/// which nothing happened.
pub(crate) fn open_or_create(path: &Path, epoch: &Epoch) -> Result<redb::Database, OpenError> {
    let inaccessible = |cause| OpenError::Inaccessible { path: path.to_owned(), cause };
    let damaged = |reason: String| OpenError::Damaged { path: path.to_owned(), reason };
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() == 0 => return Err(damaged("the file is empty".to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, epoch)?,
        Err(error) => return Err(inaccessible(error)),
    }
    let target = path.to_owned();
    catch_unwind(move || builder().set_check_integrity_on_open(true).open(target))
        .map_err(|_| damaged("reading it failed".to_owned()))?
        .map_err(|error| OpenError::from_database(path.to_owned(), error))
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
    transaction.open_table(EVENTS_BY_TYPE)?;
    transaction.open_table(RECEIPTS)?;
    transaction.open_table(RECEIPTS_BY_AGE)?;
    transaction.open_table(IDENTITY)?.insert(EPOCH, epoch.as_str())?;
    {
        let mut progress = transaction.open_table(PROGRESS)?;
        progress.insert(FORMAT, records::FORMAT)?;
        progress.insert(LAST_EVENT, 0)?;
        progress.insert(PRUNED_UP_TO, 0)?;
    }
    transaction.commit()?;
    Ok(())
}
