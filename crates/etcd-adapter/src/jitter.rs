//! Pauses that differ from node to node, so that nodes do not return to etcd in step.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// A duration up to a quarter shorter than this one.
pub(crate) fn jittered(longest: Duration) -> Duration {
    // A fresh RandomState is seeded differently in every process and every time.
    let random = u32::try_from(RandomState::new().hash_one(()) % 256).unwrap_or_default();
    longest - longest / 1024 * random
}
