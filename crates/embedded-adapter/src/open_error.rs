//! Why a store cannot be opened, and what to do about it.

use std::{io, path::PathBuf};

use redb::{DatabaseError, StorageError};

/// The embedded store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be created, read or written.
    #[error(
        "cannot use {}: {cause}; embedded.path must name a file that this user may create, read and write",
        path.display()
    )]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Somebody else has it open.
    #[error(
        "{} is in use by another process; stop that one or give this one an embedded.path of its own",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged, or was never a store.
    #[error(
        "{} is damaged or not a store of this program ({reason}); restore it from a backup, or move it away to begin with an empty store",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        reason: String,
    },
    /// The file was written by a version that came later.
    #[error(
        "{} has format {found}, this program knows up to {known}; use the version that wrote it or a later one",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The latest that this program knows.
        known: u64,
    },
    /// The system does not let the writer run.
    #[error("cannot start the thread that writes: {cause}; check the limits on threads and memory")]
    Thread {
        /// What the system says.
        cause: io::Error,
    },
}

impl OpenError {
    /// What redb's error means for whoever started the program.
    pub(crate) fn from_database(path: PathBuf, error: DatabaseError) -> Self {
        use DatabaseError::{DatabaseAlreadyOpen, LockProtocolMismatch, Storage};
        if matches!(error, DatabaseAlreadyOpen | LockProtocolMismatch) {
            return Self::InUse { path };
        }
        if let Storage(StorageError::Io(cause)) = error {
            return if is_damage(&cause) {
                Self::Damaged { path, reason: cause.to_string() }
            } else {
                Self::Inaccessible { path, cause }
            };
        }
        Self::Damaged { path, reason: error.to_string() }
    }
}

/// redb reports a foreign header, or a file that ends too early, as these.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}
