//! The port to the event log.

use std::sync::Arc;

use async_trait::async_trait;
use game_realtime_application::{
    NewEvent,
    ports::{AppendError, Appended, EventRepository, Listing, SpanKind, StoreError},
    trace::Span,
};
use game_realtime_domain::EventType;
use tokio::sync::oneshot;

use super::reader::{Entry, LogReader, Stretch};
use crate::{batch::Write, epoch::EpochCell, write_queue::WriteQueue};

/// Appends through the node's writer, lists by ranges in key order.
pub(crate) struct EtcdEventRepository {
    pub(crate) writes: WriteQueue,
    pub(crate) log: LogReader,
    pub(crate) epoch: Arc<EpochCell>,
}

/// Events on their way at the same time may be stored in another order than they were committed
/// in, so a few more than asked for are read and sorted.
const OVERLAP: usize = 32;

#[async_trait]
impl EventRepository for EtcdEventRepository {
    async fn append(&self, mut event: NewEvent) -> Result<Appended, AppendError> {
        // Deliveries are parts of it. It goes with the write: what became of that is what it tells,
        // even if nobody waits any more.
        let span = Span::of_current("etcd.event.append", SpanKind::Producer);
        event.trace = span.context().or(event.trace);
        let (answer, written) = oneshot::channel();
        let write = Write::Append { event: Box::new(event), span, answer };
        self.writes.write(write, written).await?
    }

    async fn list(&self, event_type: EventType, limit: usize) -> Result<Listing, StoreError> {
        let epoch = self.epoch.get().await?;
        let enough = limit.saturating_add(OVERLAP);
        let mut events = Vec::new();
        let mut stretches = self.log.stretches().await?.into_iter();
        // Of a type that is rare, ever longer stretches have to be looked at.
        let mut at_once = 1;
        while limit > 0 && events.len() < enough {
            let joined = stretches.by_ref().take(at_once).reduce(joined);
            let Some(stretch) = joined else { break };
            at_once *= 2;
            let mut cursor = self.log.newest(event_type, stretch);
            while events.len() < enough {
                let entries = self.log.read(&mut cursor, enough - events.len()).await?;
                if entries.is_empty() {
                    break;
                }
                events.extend(entries.into_iter().filter_map(Entry::event));
            }
        }
        events.sort_by_key(|event| std::cmp::Reverse(event.position));
        events.truncate(limit);
        Ok(Listing { epoch, events })
    }
}

/// Two stretches side by side, the newer one first.
fn joined(newer: Stretch, older: Stretch) -> Stretch {
    Stretch { from: older.from, to: newer.to }
}
