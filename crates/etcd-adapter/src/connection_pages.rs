//! Pages of the registry, as it was at one moment.
//!
//! etcd visits every key of a range, however few it is asked for. Ids begin with the time at which
//! they were made, so what follows an id is read in ranges that reach a second beyond it first, then
//! four, and so on: a page costs what it holds. Only the first page, which follows nothing, has every
//! key visited, once.

use std::sync::Arc;

use etcd_client::{GetOptions, GetResponse};
use game_realtime_application::ports::StoreError;
use game_realtime_domain::{Connection, ConnectionId};

use crate::{
    cluster::{CallError, Cluster},
    epoch::revision,
    keys::{connection_of, connections_end, connections_from},
    records,
};

/// How far the first range reaches, in milliseconds.
const FIRST_REACH: u64 = 1000;
/// How much further each range reaches than the one before.
const REACH_GROWTH: u64 = 4;
/// A range that would reach further than this goes to the end: three days.
const LONGEST_REACH: u64 = 3 * 24 * 3600 * 1000;
/// The last one that ids can begin with.
const LAST_MILLISECOND: u64 = (1 << 48) - 1;

pub(crate) struct ConnectionPages<'a> {
    pub(crate) cluster: &'a Arc<Cluster>,
    /// What the keys begin with.
    pub(crate) prefix: String,
}

#[derive(Debug, thiserror::Error)]
#[error("stored connection has an unreadable key")]
struct UnreadableKey;

impl ConnectionPages<'_> {
    /// The first connections after `after`, `limit` of them if there are so many.
    pub(crate) async fn page(
        &self,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        let mut page = Vec::new();
        let mut then = 0;
        let mut from =
            after.map_or_else(|| self.prefix.clone(), |id| format!("{}{id}\0", self.prefix));
        let mut reached = after.map(milliseconds);
        let mut reach = FIRST_REACH;
        while page.len() < limit {
            let further = |since| Some(since + reach).filter(|it| *it <= LAST_MILLISECOND);
            reached = reached.filter(|_| reach <= LONGEST_REACH).and_then(further);
            let end = match reached {
                Some(milliseconds) => connections_from(&self.prefix, milliseconds),
                None => connections_end(&self.prefix),
            };
            let missing = limit - page.len();
            let response = self.range(from, end.clone(), missing, then).await?;
            then = i64::try_from(revision(response.header())).unwrap_or_default();
            for pair in response.kvs() {
                let id = pair.key_str().ok().and_then(connection_of);
                let id = id.ok_or_else(|| StoreError::corrupt(UnreadableKey))?;
                let connection = records::decode_connection(id, pair.value());
                page.push(connection.map_err(StoreError::corrupt)?);
            }
            if reached.is_none() {
                break;
            }
            from = end;
            reach *= REACH_GROWTH;
        }
        Ok(page)
    }

    /// Reads a range as it was at a revision; 0 is now.
    async fn range(
        &self,
        from: String,
        end: String,
        limit: usize,
        at: i64,
    ) -> Result<GetResponse, CallError> {
        let options = GetOptions::new()
            .with_range(end)
            .with_limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .with_revision(at);
        self.cluster.kv(|mut kv| async move { kv.get(from, Some(options)).await }).await
    }
}

/// When an id was made, if it is one that tells; some number of the same order otherwise.
fn milliseconds(id: ConnectionId) -> u64 {
    u64::try_from(id.0.as_u128() >> 80).unwrap_or_default()
}
