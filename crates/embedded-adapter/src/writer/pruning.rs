//! Forgets events and receipts that are old enough, or for which there is no space, a bounded step
//! at a time.
//!
//! Within a class the oldest go first, so after the class's mark nothing of it is missing. By space
//! the classes go in the order of [`RetentionClass::ALL`]: first the receipts of class State beyond
//! their share, then its events down to theirs, then the rest of its receipts, then purchases with
//! their receipts, and what is left of State last.

use std::time::Duration;

use game_realtime_application::RetentionPolicy;
use game_realtime_domain::{PerClass, RetentionClass, Timestamp};
use redb::{ReadableTable, Table, WriteTransaction};

use crate::{
    fault::Fault,
    ledger::Ledger,
    parts::{self, PartsTable},
    records,
    space::{Target, event_weight, receipt_weight},
    tables::{
        EVENT_PARTS, EVENTS, EVENTS_BY_TYPE, PURCHASE_RECEIPTS, RECEIPTS, STATE_RECEIPTS, class_of,
        parse_receipt_entry,
    },
};

/// How many events, and how many receipts, one step removes from each class by age, at most; and
/// how many of both by space, unless that is less than twice what was written. More than one batch
/// appends: pruning keeps up with any load.
const STEP: usize = 1000;
/// How many go by space before the step looks again who is next.
const CHUNK: usize = 128;
/// Younger receipts go for want of space only when nothing else is left: a client that was not answered
/// repeats its request within this time.
const YOUNG_RECEIPT: Duration = Duration::from_secs(10);
/// How far ahead of the clock a time stamp may be to be believed, in milliseconds.
const TRUSTED_AHEAD: u64 = 5000;

/// What has to be pruned.
pub(super) struct Order<'a> {
    pub(super) retention: &'a RetentionPolicy,
    pub(super) now: Timestamp,
    /// Whether to look for what is old enough.
    pub(super) by_age: bool,
    /// How much may be in use; `None`: any amount.
    pub(super) target: Option<Target>,
    /// Whether pruning by space has begun and not reached its end.
    pub(super) pressed: bool,
}

/// What one step did.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Pruned {
    pub(super) events: u64,
    /// Those of them that went for want of space.
    pub(super) space_events: u64,
    pub(super) receipts: u64,
    /// When it looked for what is old enough: whether there may be more.
    pub(super) more_by_age: Option<bool>,
    /// Whether more is in use than may be, and can go.
    pub(super) pressed: bool,
    /// Whether what is in use too much has to stay.
    pub(super) stuck: bool,
}

/// The tables that pruning touches.
struct Pruner<'a, 'txn> {
    events: Table<'txn, u64, &'static [u8]>,
    parts: PartsTable<'txn>,
    events_by_type: Table<'txn, (u8, u64), ()>,
    receipts: Table<'txn, &'static [u8], &'static [u8]>,
    lists: PerClass<Table<'txn, u64, &'static [u8]>>,
    ledger: &'a mut Ledger,
    now: Timestamp,
    /// What the transaction has added, in bytes.
    appended: u64,
    /// Later numbers are not pruned by space.
    highest_by_space: u64,
    /// Whether receipts go by space that are so young that their requests may be on their way again.
    even_young: bool,
    pruned: Pruned,
}

/// A receipt in the list of its class.
struct Listed {
    number: u64,
    committed_at: Option<Timestamp>,
    key: Vec<u8>,
}

/// Prunes a step. `before` is what the file held before the transaction: what that appended stays.
pub(super) fn step(
    transaction: &WriteTransaction,
    ledger: &mut Ledger,
    order: &Order<'_>,
    before: &Ledger,
) -> Result<Pruned, Fault> {
    let over = order.target.filter(|target| {
        let limit = if order.pressed { target.low } else { target.high };
        ledger.space.total() > limit
    });
    if !order.by_age && over.is_none() {
        return Ok(Pruned::default());
    }
    let mut pruner = Pruner {
        events: transaction.open_table(EVENTS)?,
        parts: transaction.open_table(EVENT_PARTS)?,
        events_by_type: transaction.open_table(EVENTS_BY_TYPE)?,
        receipts: transaction.open_table(RECEIPTS)?,
        lists: PerClass {
            state: transaction.open_table(STATE_RECEIPTS)?,
            purchases: transaction.open_table(PURCHASE_RECEIPTS)?,
        },
        appended: ledger.space.total().saturating_sub(before.space.total()),
        highest_by_space: before.last_event,
        even_young: false,
        ledger,
        now: order.now,
        pruned: Pruned::default(),
    };
    if order.by_age {
        let mut more = false;
        for class in RetentionClass::ALL {
            more |= pruner.events_by_age(class, order.retention)?;
            more |= pruner.receipts_by_age(class, order.retention)?;
        }
        pruner.pruned.more_by_age = Some(more);
    }
    if let Some(target) = over {
        pruner.by_space(target)?;
    }
    Ok(pruner.pruned)
}

impl Pruner<'_, '_> {
    /// Whether there may be more.
    fn events_by_age(
        &mut self,
        class: RetentionClass,
        retention: &RetentionPolicy,
    ) -> Result<bool, Fault> {
        let kept = u64::try_from(retention.replay_events).unwrap_or(u64::MAX);
        let highest = self.ledger.last_event.saturating_sub(kept);
        let oldest_kept = self.now.minus(retention.of(class).events);
        let candidates = self.oldest_events(class, highest, STEP)?;
        let mut stamps = Vec::with_capacity(candidates.len());
        for &(number, _) in &candidates {
            stamps.push(self.created_at(number)?);
        }
        let last = candidates.last().map_or(0, |&(number, _)| number);
        let old = count_old(&stamps, oldest_kept, || {
            trusted_after(last, |from| {
                let event = self.events.range(from..)?.next().transpose()?;
                let number = event.map(|(number, _)| number.value());
                number.map(|number| Ok((number, self.created_at(number)?))).transpose()
            })
        })?;
        for &(number, code) in candidates.iter().take(old) {
            self.remove_event(class, number, code)?;
        }
        Ok(old == STEP)
    }

    /// Whether there may be more.
    fn receipts_by_age(
        &mut self,
        class: RetentionClass,
        retention: &RetentionPolicy,
    ) -> Result<bool, Fault> {
        let oldest_kept = self.now.minus(retention.of(class).receipts);
        let candidates = self.oldest_receipts(class, u64::MAX, STEP)?;
        let stamps: Vec<_> =
            candidates.iter().map(|receipt| self.trusted(receipt.committed_at)).collect();
        let last = candidates.last().map_or(0, |receipt| receipt.number);
        let old = count_old(&stamps, oldest_kept, || {
            trusted_after(last, |from| {
                let entry = self.lists.of(class).range(from..)?.next().transpose()?;
                Ok(entry.map(|(number, entry)| {
                    let committed_at = parse_receipt_entry(entry.value()).map(|(at, _)| at);
                    (number.value(), self.trusted(committed_at))
                }))
            })
        })?;
        for receipt in candidates.iter().take(old) {
            self.remove_receipt(class, receipt)?;
        }
        Ok(old == STEP)
    }

    fn by_space(&mut self, target: Target) -> Result<(), Fault> {
        let before = self.ledger.space.total();
        let mut removed = 0;
        while self.ledger.space.total() > target.low {
            let freed = before.saturating_sub(self.ledger.space.total());
            if removed >= STEP && freed >= self.appended.saturating_mul(2) {
                break;
            }
            let chunk = self.next_by_space(target)?;
            if chunk == 0 {
                self.pruned.stuck = true;
                break;
            }
            removed += chunk;
        }
        self.pruned.pressed = self.ledger.space.total() > target.low && !self.pruned.stuck;
        Ok(())
    }

    /// Removes a few of what goes next; how many.
    fn next_by_space(&mut self, target: Target) -> Result<usize, Fault> {
        use RetentionClass::{Purchases, State};
        let mut removed = 0;
        if self.ledger.space.receipts.state > target.state_receipts {
            removed = self.receipts_by_space(State)?;
        }
        if removed == 0 && self.ledger.space.events.state > target.state_events {
            removed = self.events_by_space(State)?;
        }
        if removed == 0 {
            removed = self.receipts_by_space(State)?;
        }
        if removed == 0 {
            let highest = self.highest_by_space;
            let event = self.oldest_events(Purchases, highest, 1)?;
            let event = event.first().map(|&(number, _)| number);
            let receipt = self.oldest_receipts(Purchases, highest, 1)?;
            let receipt = receipt.first().map(|receipt| receipt.number);
            removed = match (event, receipt) {
                (Some(event), Some(receipt)) if receipt < event => {
                    self.receipts_by_space(Purchases)?
                }
                (None, _) => self.receipts_by_space(Purchases)?,
                (Some(_), _) => self.events_by_space(Purchases)?,
            };
        }
        if removed == 0 {
            removed = self.events_by_space(State)?;
        }
        for class in RetentionClass::ALL {
            if removed == 0 {
                self.even_young = true;
                removed = self.receipts_by_space(class)?;
                self.even_young = false;
            }
        }
        Ok(removed)
    }

    fn events_by_space(&mut self, class: RetentionClass) -> Result<usize, Fault> {
        let candidates = self.oldest_events(class, self.highest_by_space, CHUNK)?;
        for &(number, code) in &candidates {
            self.remove_event(class, number, code)?;
        }
        self.pruned.space_events += candidates.len() as u64;
        Ok(candidates.len())
    }

    fn receipts_by_space(&mut self, class: RetentionClass) -> Result<usize, Fault> {
        let oldest = self.oldest_receipts(class, self.highest_by_space, CHUNK)?;
        let young = self.now.minus(YOUNG_RECEIPT);
        let is_old = |receipt: &&Listed| {
            self.even_young || self.trusted(receipt.committed_at).is_none_or(|at| at < young)
        };
        let old = oldest.iter().take_while(is_old).count();
        for receipt in oldest.iter().take(old) {
            self.remove_receipt(class, receipt)?;
        }
        Ok(old)
    }

    /// The oldest events of a class up to `highest`, at most `limit`, with the codes of their types.
    fn oldest_events(
        &self,
        class: RetentionClass,
        highest: u64,
        limit: usize,
    ) -> Result<Vec<(u64, u8)>, Fault> {
        let first = self.ledger.pruned.of(class).saturating_add(1);
        let mut oldest = Vec::new();
        let mut next_code = Some(0);
        // As many look-ups as there are types.
        while let Some(from) = next_code
            && let Some(entry) = self.events_by_type.range((from, 0)..)?.next()
        {
            let (code, _) = entry?.0.value();
            if class_of(code) == class && first <= highest {
                let of_type = self.events_by_type.range((code, first)..=(code, highest))?;
                for entry in of_type.take(limit) {
                    oldest.push((entry?.0.value().1, code));
                }
            }
            next_code = code.checked_add(1);
        }
        oldest.sort_unstable();
        oldest.truncate(limit);
        Ok(oldest)
    }

    fn oldest_receipts(
        &self,
        class: RetentionClass,
        highest: u64,
        limit: usize,
    ) -> Result<Vec<Listed>, Fault> {
        let mut oldest = Vec::new();
        for entry in self.lists.of(class).range(..=highest)?.take(limit) {
            let (number, entry) = entry?;
            let parsed = parse_receipt_entry(entry.value());
            oldest.push(Listed {
                number: number.value(),
                committed_at: parsed.map(|(committed_at, _)| committed_at),
                key: parsed.map_or(&[][..], |(_, key)| key).to_vec(),
            });
        }
        Ok(oldest)
    }

    fn remove_event(&mut self, class: RetentionClass, number: u64, code: u8) -> Result<(), Fault> {
        self.events_by_type.remove((code, number))?;
        if let Some(record) = self.events.remove(number)? {
            let bytes = self.ledger.space.events.of_mut(class);
            *bytes = bytes.saturating_sub(event_weight(record.value()));
            for part in 0..parts::count(record.value()) {
                self.parts.remove((number, part))?;
            }
            self.ledger.held = self.ledger.held.saturating_sub(1);
        }
        *self.ledger.pruned.of_mut(class) = number;
        self.pruned.events += 1;
        Ok(())
    }

    fn remove_receipt(&mut self, class: RetentionClass, receipt: &Listed) -> Result<(), Fault> {
        self.lists.of_mut(class).remove(receipt.number)?;
        if let Some(record) = self.receipts.remove(receipt.key.as_slice())? {
            let bytes = self.ledger.space.receipts.of_mut(class);
            let weight = receipt_weight(receipt.key.len(), record.value().len());
            *bytes = bytes.saturating_sub(weight);
        }
        self.pruned.receipts += 1;
        Ok(())
    }

    fn created_at(&self, number: u64) -> Result<Option<Timestamp>, Fault> {
        let Some(head) = self.events.get(number)? else { return Ok(None) };
        let record = parts::join(number, head.value(), &self.parts)?;
        Ok(self.trusted(records::created_at(number, &record)))
    }

    /// A stamp that a clock which was right can have made.
    fn trusted(&self, stamp: Option<Timestamp>) -> Option<Timestamp> {
        let latest = self.now.as_millis().saturating_add(TRUSTED_AHEAD);
        stamp.filter(|stamp| stamp.as_millis() <= latest)
    }
}

/// How many of the oldest records, in order, are older than `oldest_kept`. One whose stamp cannot be
/// read or trusted is as old as the next one that can: it is not younger than what came after it.
/// `later` is such a stamp after all of these.
fn count_old(
    stamps: &[Option<Timestamp>],
    oldest_kept: Timestamp,
    later: impl FnOnce() -> Result<Option<Timestamp>, Fault>,
) -> Result<usize, Fault> {
    let mut old = 0;
    for (place, stamp) in stamps.iter().enumerate() {
        match stamp {
            None => {}
            Some(stamp) if *stamp < oldest_kept => old = place + 1,
            Some(_) => return Ok(old),
        }
    }
    if old < stamps.len() && later()?.is_some_and(|stamp| stamp < oldest_kept) {
        old = stamps.len();
    }
    Ok(old)
}

/// The first stamp after `number` that can be trusted, if all those before it cannot: a clock that
/// was wrong was so for a while. Looks at few records, however many there are: in steps that double,
/// then halves. `first_from` is the first record from a number on.
fn trusted_after(
    number: u64,
    first_from: impl Fn(u64) -> Result<Option<(u64, Option<Timestamp>)>, Fault>,
) -> Result<Option<Timestamp>, Fault> {
    let mut trusted = None;
    let (mut before, mut stride) = (number, 1_u64);
    let mut after = loop {
        let probe = before.saturating_add(stride);
        match first_from(probe)? {
            Some((found, None)) if found > before => before = found,
            found => {
                trusted = found.and_then(|(_, stamp)| stamp).or(trusted);
                break probe;
            }
        }
        stride = stride.saturating_mul(2);
    };
    while after - before > 1 {
        let probe = before + (after - before) / 2;
        match first_from(probe)? {
            Some((found, None)) if found < after => before = found,
            Some((found, Some(stamp))) if found < after => (after, trusted) = (probe, Some(stamp)),
            _ => after = probe,
        }
    }
    Ok(trusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stamp_that_can_be_trusted_is_found_behind_any_number_of_others() {
        for (untrusted, trusted) in
            [(0, 1), (1, 1), (5, 2), (999, 1), (1000, 3), (70_000, 1), (9, 0)]
        {
            let last = 100 + untrusted + trusted;
            let first_from = |from: u64| {
                let found = from.max(101);
                let stamp = (found > 100 + untrusted).then(|| Timestamp::from_millis(found));
                Ok((found <= last).then_some((found, stamp)))
            };
            let expected = (trusted > 0).then(|| Timestamp::from_millis(101 + untrusted));
            assert_eq!(trusted_after(100, first_from).unwrap(), expected, "{untrusted} {trusted}");
        }
    }
}
