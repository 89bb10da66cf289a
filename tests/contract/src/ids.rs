//! Ids that nobody has had before, in no order.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use uuid::Uuid;

static PROCESS: LazyLock<Uuid> = LazyLock::new(|| {
    let half = || RandomState::new().hash_one(std::process::id());
    Uuid::from_u64_pair(half(), half())
});
static NEXT: AtomicU64 = AtomicU64::new(0);

/// An id that no other call returns, in this process or another.
#[must_use]
pub fn unique_id() -> Uuid {
    Uuid::new_v5(&PROCESS, &NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes())
}
