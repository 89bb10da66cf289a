//! Lets go of the oldest receipts when they take too much space.

use std::time::Duration;

use etcd_client::{GetOptions, KeyValue};
use game_realtime_application::{RetentionPolicy, ports::StoreError};
use game_realtime_domain::{RetentionClass, Timestamp};
use tracing::debug;

use crate::{
    epoch::revision,
    keys::Keys,
    leases::LeaseId,
    log::reader::LogReader,
    receipt_leases::{RECEIPTS_PER_LEASE, longest_fill},
};

/// What a receipt takes in etcd's file, in bytes: with a user id and a `request_id` of 36 characters.
const RECEIPT: u64 = 320;
/// Receipts of a lease, at most.
pub(super) const PER_LEASE: u64 = RECEIPTS_PER_LEASE as u64;
/// What they take.
pub(super) const BYTES_PER_LEASE: u64 = PER_LEASE * RECEIPT;
/// Younger receipts stay: a client that was not answered repeats its request within this time.
const YOUNG: Duration = Duration::from_secs(10);
/// Leases that end in one round.
const MOST: usize = 64;

/// The leases of a class's receipts.
pub(super) struct Leases {
    /// The oldest ones.
    oldest: Vec<LeaseId>,
    all: u64,
}

impl Leases {
    /// Those that may end are not being filled any more, and their receipts are not so young that their
    /// requests may be on their way again.
    pub(super) async fn read(
        log: &LogReader,
        class: RetentionClass,
        retention: &RetentionPolicy,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let from = log.keys.receipt_leases(class);
        let limit = i64::try_from(MOST).unwrap_or(i64::MAX);
        let options = GetOptions::new().with_prefix().with_limit(limit);
        let response =
            log.cluster.kv(|mut kv| async move { kv.get(from, Some(options)).await }).await?;
        let latest = now.minus(longest_fill(retention, class) + YOUNG);
        let lease = |pair: &KeyValue| {
            let granted_at = pair.value_str().ok().and_then(|millis| millis.parse().ok());
            let is_old = granted_at.is_none_or(|millis| Timestamp::from_millis(millis) <= latest);
            pair.key_str().ok().filter(|_| is_old).and_then(Keys::parse_receipt_lease)
        };
        Ok(Self {
            oldest: response.kvs().iter().filter_map(lease).collect(),
            all: u64::try_from(response.count()).unwrap_or_default(),
        })
    }

    /// What the receipts take at most.
    pub(super) fn bytes(&self) -> u64 {
        self.all * BYTES_PER_LEASE
    }

    /// Ends the oldest leases until about `bytes` are free. Returns how many ended, and when the last
    /// one did.
    pub(super) async fn end(&self, log: &LogReader, bytes: u64) -> Result<(u64, u64), StoreError> {
        let enough = usize::try_from(bytes.div_ceil(BYTES_PER_LEASE)).unwrap_or(usize::MAX);
        let mut ended = 0;
        let mut at = 0;
        for lease in self.oldest.iter().copied().take(enough) {
            match log.cluster.lease(|mut leases| async move { leases.revoke(lease).await }).await {
                Ok(response) => {
                    ended += 1;
                    at = revision(response.header());
                }
                // It expired meanwhile.
                Err(error) if error.is_lease_not_found() => {
                    debug!(lease.id = lease, "lease is gone");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok((ended, at))
    }
}
