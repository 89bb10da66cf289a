//! The ids of traces and spans.

use std::{
    hash::{BuildHasher, RandomState},
    num::NonZero,
    sync::atomic::{AtomicU64, Ordering},
};

/// Random numbers that cost no system call: a keyed hash of a count, with keys from the system that
/// no other process has.
pub(crate) struct Ids {
    keys: RandomState,
    made: AtomicU64,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self { keys: RandomState::new(), made: AtomicU64::new(0) }
    }

    /// 64 random bits.
    pub(crate) fn random(&self) -> u64 {
        self.keys.hash_one(self.made.fetch_add(1, Ordering::Relaxed))
    }

    /// The id of a trace whose lower half is given.
    pub(crate) fn trace(&self, low: u64) -> NonZero<u128> {
        NonZero::new(u128::from(self.random()) << 64 | u128::from(low))
            .unwrap_or(NonZero::<u128>::MIN)
    }

    /// The id of a span.
    pub(crate) fn span(&self) -> NonZero<u64> {
        NonZero::new(self.random()).unwrap_or(NonZero::<u64>::MIN)
    }
}
