//! The leases that receipts hang on. Nobody keeps them alive: receipts expire by themselves, many at a
//! time. Each lease is listed in etcd, so that the oldest receipts can go when space runs out.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use etcd_client::PutOptions;
use game_realtime_application::{RetentionPolicy, ports::Clock};
use game_realtime_domain::{PerClass, RetentionClass};
use tokio::time::Instant;

use crate::{
    cluster::CallError,
    leases::{LeaseId, Leases},
    log::reader::LogReader,
};

/// Receipts per lease; each is one key. It bounds how long one that ends keeps etcd from writes.
pub(crate) const RECEIPTS_PER_LEASE: usize = 1000;
/// A lease is filled for this part of the idempotency window at most...
const FILL_PART: u32 = 24;
/// ...and, of broadcasts and messages, no longer than this, so that the oldest receipts can go alone.
const LONGEST_FILL: Duration = Duration::from_secs(60);

/// How long a lease of a class's receipts is filled at most.
pub(crate) fn longest_fill(retention: &RetentionPolicy, class: RetentionClass) -> Duration {
    let fill = retention.of(class).receipts / FILL_PART;
    match class {
        RetentionClass::State => fill.min(LONGEST_FILL),
        RetentionClass::Purchases => fill,
    }
}

pub(crate) struct ReceiptLeases {
    leases: Arc<Leases>,
    log: LogReader,
    retention: RetentionPolicy,
    clock: Arc<dyn Clock>,
    filling: Mutex<PerClass<Option<Filling>>>,
}

#[derive(Clone, Copy)]
struct Filling {
    id: LeaseId,
    receipts: usize,
    until: Instant,
}

impl ReceiptLeases {
    pub(crate) fn new(
        leases: Arc<Leases>,
        log: LogReader,
        retention: RetentionPolicy,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { leases, log, retention, clock, filling: Mutex::default() }
    }

    /// A lease for `receipts` more receipts of a class.
    pub(crate) async fn lease_for(
        &self,
        class: RetentionClass,
        receipts: usize,
    ) -> Result<LeaseId, CallError> {
        if let Some(filling) = self.lock().of_mut(class)
            && filling.receipts + receipts <= RECEIPTS_PER_LEASE
            && Instant::now() < filling.until
        {
            filling.receipts += receipts;
            return Ok(filling.id);
        }
        let window = self.retention.of(class).receipts;
        let fill = longest_fill(&self.retention, class);
        let id = self.grant(class, window + fill).await?;
        let until = Instant::now() + fill;
        *self.lock().of_mut(class) = Some(Filling { id, receipts, until });
        Ok(id)
    }

    /// Forgets the leases, because etcd no longer knows one of them.
    pub(crate) fn forget(&self) {
        *self.lock() = PerClass::default();
    }

    async fn grant(&self, class: RetentionClass, ttl: Duration) -> Result<LeaseId, CallError> {
        let id = self.leases.grant(ttl).await?;
        let key = self.log.keys.receipt_lease(class, self.log.segments.revision(), id);
        let options = PutOptions::new().with_lease(id);
        let granted_at = self.clock.now().as_millis().to_string();
        let put = self
            .log
            .cluster
            .kv(|mut kv| async move { kv.put(key, granted_at, Some(options)).await });
        put.await?;
        Ok(id)
    }

    fn lock(&self) -> MutexGuard<'_, PerClass<Option<Filling>>> {
        self.filling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
