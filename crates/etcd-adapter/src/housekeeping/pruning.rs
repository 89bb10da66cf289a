//! Which events and receipts go, by age and by space, and how.

use game_realtime_application::ports::StoreError;
use game_realtime_domain::{EventType, RetentionClass};
use tracing::debug;

use super::{
    deletion::{Deleted, Deletion, Ended},
    garbage::Garbage,
    housekeeper::{Housekeeper, Memory},
    plan::{self, Held},
    pressure::Pressure,
    receipts,
    report::Space,
};
use crate::records::ClassSize;

/// One way to see how much has to go.
type Excess = fn(&Pressure, &Garbage) -> u64;

impl Housekeeper {
    /// Lets go of what is too old.
    pub(super) async fn expire(
        &self,
        memory: &mut Memory,
        deletion: &Deletion<'_>,
    ) -> Result<(), Ended> {
        let newest = u64::try_from(self.retention.replay_events).unwrap_or(u64::MAX);
        for class in RetentionClass::ALL {
            let own = self.held(class);
            let others = RetentionClass::ALL.into_iter().filter(|other| *other != class);
            let others: Vec<_> = others.flat_map(|other| self.held(other)).collect();
            let expired = plan::expired(&own, self.retention.of(class).events)
                .min(plan::leaving(&own, &others, newest));
            self.drop_oldest(memory, deletion, class, &own, expired).await?;
        }
        Ok(())
    }

    /// Lets go of the oldest of what is more than the budget.
    pub(super) async fn prune(
        &self,
        memory: &mut Memory,
        deletion: &Deletion<'_>,
        space: Space,
        budget: u64,
    ) -> Result<(), Ended> {
        let pressure = Pressure { space, budget };
        let by_space = pressure.excess(&memory.garbage) > 0;
        // Receipts of broadcasts and messages beyond their part go first, then the oldest of those events
        // down to theirs, then the other receipts, then purchases and theirs, and then what is left.
        let part = pressure.part(&memory.garbage);
        let receipts = self.receipts(RetentionClass::State).await?;
        let too_many = receipts.bytes().saturating_sub(part);
        let too_many = too_many.min(pressure.excess(&memory.garbage));
        self.end_receipts(memory, &receipts, too_many).await?;
        let steps: [(_, _, Excess); 3] = [
            (RetentionClass::State, part, Pressure::excess),
            (RetentionClass::Purchases, 0, Pressure::certain_excess),
            (RetentionClass::State, 0, Pressure::last_excess),
        ];
        for (class, kept, excess) in steps {
            let own = self.held(class);
            let all: u64 = own.iter().map(|held| plan::stored(held.size)).sum();
            let oldest = plan::filling(
                &own,
                excess(&pressure, &memory.garbage).min(all.saturating_sub(kept)),
            );
            let freed = self.drop_oldest(memory, deletion, class, &own, oldest).await?;
            metrics::counter!("game_realtime_space_pruned_events_total").increment(freed);
            let left = excess(&pressure, &memory.garbage);
            if left > 0 {
                let receipts = self.receipts(class).await?;
                self.end_receipts(memory, &receipts, left).await?;
            }
        }
        memory.report.pruned(by_space, space, budget);
        if let Some(is_over) = pressure.is_over(&memory.garbage) {
            memory.report.over_budget(is_over, space, budget);
        }
        Ok(())
    }

    async fn receipts(&self, class: RetentionClass) -> Result<receipts::Leases, StoreError> {
        receipts::Leases::read(&self.log, class, &self.retention, self.clock.now()).await
    }

    fn held(&self, class: RetentionClass) -> Vec<Held> {
        let newest = *self.log.segments.newest_size().of(class);
        plan::held(&self.log.segments.of(class), newest, self.clock.now())
    }

    /// Lets go of the oldest segments of a class. Returns how many events were deleted.
    ///
    /// The segments go first, and with them the promise that their events are there. What was written
    /// under the last of them may have been committed after it, and stays until the next is dropped.
    async fn drop_oldest(
        &self,
        memory: &mut Memory,
        deletion: &Deletion<'_>,
        class: RetentionClass,
        held: &[Held],
        dropped: usize,
    ) -> Result<u64, Ended> {
        let keys = &self.log.keys;
        let Some(first_kept) = held.get(dropped).filter(|_| dropped > 0) else { return Ok(0) };
        let from = keys.segments(class).into_bytes();
        let end = keys.segment(class, first_kept.number).into_bytes();
        deletion.keys(from, end).await?;
        self.log.segments.forget(class, ..first_kept.number);
        let mut events = 0;
        let mut from = 0;
        for segment in held.iter().take(dropped) {
            let each = segment.size.bytes.checked_div(segment.size.events).unwrap_or_default();
            let types = EventType::ALL.into_iter().filter(|it| it.retention_class() == class);
            for event_type in types {
                // The newest have the first keys.
                let range = |from, to| {
                    let oldest = keys.events_before(event_type, from);
                    (keys.events_before(event_type, to), oldest)
                };
                let step = |deleted: Deleted| {
                    let size = ClassSize { events: deleted.keys, bytes: deleted.keys * each };
                    memory.garbage.add(deleted.revision, plan::garbage(size));
                    metrics::counter!("game_realtime_pruned_events_total").increment(deleted.keys);
                    events += deleted.keys;
                };
                if from == 0 {
                    // What was left by the last time, and is all over the place.
                    let (first, end) = range(from, segment.start);
                    deletion.range(first, end, step).await?;
                } else {
                    deletion.stretch(from, segment.start, range, step).await?;
                }
            }
            from = segment.start;
        }
        debug!(segments = dropped, events, ?class, "oldest segments of the log dropped");
        Ok(events)
    }

    async fn end_receipts(
        &self,
        memory: &mut Memory,
        receipts: &receipts::Leases,
        bytes: u64,
    ) -> Result<(), Ended> {
        if bytes == 0 {
            return Ok(());
        }
        let (ended, at) = receipts.end(&self.log, bytes).await?;
        if ended > 0 {
            memory.garbage.add(at, ended * receipts::BYTES_PER_LEASE);
            metrics::counter!("game_realtime_pruned_receipts_total")
                .increment(ended * receipts::PER_LEASE);
            debug!(leases = ended, "oldest receipts let go of");
        }
        Ok(())
    }
}
