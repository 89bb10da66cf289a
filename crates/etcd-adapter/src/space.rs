//! Whether etcd has room. Once its quota is used up it raises an alarm and takes nothing more until
//! an operator has made room; reads, plain deletions and the renewal of leases go on.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{error, info};

/// What is known of it.
#[derive(Default)]
pub(crate) struct Space {
    exhausted: AtomicBool,
}

impl Space {
    /// Shows that there is room, until etcd says otherwise.
    pub(crate) fn publish(&self) {
        metrics::gauge!("game_realtime_store_nospace")
            .set(f64::from(u8::from(self.is_exhausted())));
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Acquire)
    }

    /// Notes that etcd refused a write for want of room. Said once, however often it refuses.
    pub(crate) fn refused(&self) {
        if !self.exhausted.swap(true, Ordering::AcqRel) {
            self.publish();
            error!(
                "etcd's space quota is used up, events are refused: delete or prune keys, then \
                 `etcdctl compact`, `etcdctl defrag` and `etcdctl alarm disarm`"
            );
        }
    }

    /// Notes that etcd took a write.
    pub(crate) fn accepted(&self) {
        if self.exhausted.swap(false, Ordering::AcqRel) {
            self.publish();
            info!("etcd has room again");
        }
    }
}
