//! The other end of one TCP connection, and the place it takes on this node.

use std::{net::IpAddr, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places for TCP connections.
pub(crate) struct Slots(Arc<Semaphore>);

/// A place for one TCP connection, free again when the last clone is dropped.
pub(crate) type Slot = Arc<OwnedSemaphorePermit>;

impl Slots {
    /// So many places; 0 is no limit.
    pub(crate) fn new(count: usize) -> Self {
        let places = if count == 0 { Semaphore::MAX_PERMITS } else { count };
        Self(Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes a place, if one is free.
    pub(crate) fn take(&self) -> Option<Slot> {
        Arc::clone(&self.0).try_acquire_owned().ok().map(Arc::new)
    }
}

/// Who sends requests over one TCP connection.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) slot: Slot,
}
