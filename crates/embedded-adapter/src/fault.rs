//! What went wrong below the ports, in a form that many callers can be told.

use game_realtime_application::ports::{StoreError, StoreErrorKind};

/// A failure of the file or of its contents. One failed transaction fails many callers, so it can
/// be cloned, which redb's errors cannot.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Fault {
    pub(crate) kind: StoreErrorKind,
    message: String,
}

impl Fault {
    /// The store cannot be used now.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self { kind: StoreErrorKind::Unavailable, message: message.into() }
    }

    /// What is stored cannot be read.
    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self { kind: StoreErrorKind::Corrupt, message: message.into() }
    }

    /// Turns a panic of redb into a failure like any other.
    pub(crate) fn catch<T>(work: impl FnOnce() -> Result<T, Self>) -> Result<T, Self> {
        // Safe to assert: after a failure nothing of a transaction is used again, and the file is
        // closed and opened anew.
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(Self::corrupt("the database panicked")))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault.kind {
            StoreErrorKind::Unavailable => Self::unavailable(fault),
            StoreErrorKind::Corrupt => Self::corrupt(fault),
        }
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        let message = error.to_string();
        if matches!(error, redb::Error::Corrupted(_)) {
            Self::corrupt(message)
        } else {
            Self::unavailable(message)
        }
    }
}

macro_rules! fault_from {
    ($($error:ty),+) => { $(
        impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )+ };
}

fault_from!(
    redb::CommitError,
    redb::DatabaseError,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError
);
