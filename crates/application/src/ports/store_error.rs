//! How a store says that it could not do its work.

use std::error::Error;

/// What kind of trouble a store is in. Small on purpose: callers decide by it, people read the
/// source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The store did not answer in time, refused for now, or its queue is full. Whether a write
    /// happened is unknown; it may be repeated with the same `request_id`.
    Unavailable,
    /// What the store holds cannot be read.
    Corrupt,
}

impl StoreErrorKind {
    /// In a word, for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
        }
    }
}

/// A store failed for a reason that is not the caller's.
#[derive(Debug, thiserror::Error)]
#[error("store {}", .kind.as_str())]
pub struct StoreError {
    /// What a caller may decide by.
    pub kind: StoreErrorKind,
    /// What happened, for the log. Never shown to a client.
    pub source: Box<dyn Error + Send + Sync>,
}

impl StoreError {
    /// The store cannot be used now.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: StoreErrorKind::Unavailable, source: source.into() }
    }

    /// What the store holds cannot be read.
    pub fn corrupt(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: StoreErrorKind::Corrupt, source: source.into() }
    }
}
