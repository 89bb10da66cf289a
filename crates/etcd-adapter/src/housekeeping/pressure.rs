//! How much more etcd holds than it may, as far as anybody knows before the next compaction.

use super::{garbage::Garbage, report::Space};

/// The part of what is kept that receipts of broadcasts and messages may take, and the part that these
/// events have before purchases: a log full of purchases would leave clients nothing to return to.
const PART: u64 = 4;
/// The least of that, as a part of the budget, however much garbage there is.
const LEAST_PART: u64 = 8;
/// The part of the garbage by which its estimate may be too low.
const ESTIMATE_ERROR_PART: u64 = 4;

/// What was measured in one round.
pub(super) struct Pressure {
    pub(super) space: Space,
    pub(super) budget: u64,
}

impl Pressure {
    /// How much too much is kept, in bytes.
    pub(super) fn excess(&self, garbage: &Garbage) -> u64 {
        self.excess_beside(garbage, garbage.bytes())
    }

    /// How much too much is kept even if there is more garbage than estimated.
    pub(super) fn certain_excess(&self, garbage: &Garbage) -> u64 {
        self.excess_beside(garbage, garbage.bytes() + garbage.bytes() / ESTIMATE_ERROR_PART)
    }

    /// The same, or 0 while there is much garbage: what is deleted is free only after a compaction, and that
    /// may show that there is room enough.
    pub(super) fn last_excess(&self, garbage: &Garbage) -> u64 {
        if self.is_clear(garbage) { self.certain_excess(garbage) } else { 0 }
    }

    /// How much receipts of broadcasts and messages may take, and how much these events have before
    /// purchases.
    pub(super) fn part(&self, garbage: &Garbage) -> u64 {
        let kept = self.budget - garbage.reserve(self.budget);
        (kept / PART).max(self.budget / LEAST_PART)
    }

    /// Whether etcd holds more than the budget once everything is gone that may go. `None`: only the next
    /// compaction can tell.
    pub(super) fn is_over(&self, garbage: &Garbage) -> Option<bool> {
        let is_within = self.space.in_use <= self.budget;
        let is_known = is_within || self.is_clear(garbage);
        is_known.then(|| !is_within && self.last_excess(garbage) > 0)
    }

    fn is_clear(&self, garbage: &Garbage) -> bool {
        garbage.bytes() < self.budget / LEAST_PART
    }

    fn excess_beside(&self, garbage: &Garbage, bytes: u64) -> u64 {
        let kept = self.space.in_use.saturating_sub(bytes);
        kept.saturating_sub(self.budget - garbage.reserve(self.budget))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressure(in_use: u64) -> Pressure {
        Pressure { space: Space { file: in_use, in_use, quota: None }, budget: 800 }
    }

    fn garbage(bytes: u64) -> Garbage {
        let mut garbage = Garbage::default();
        garbage.add(1, bytes);
        garbage
    }

    #[test]
    fn what_is_certain_to_be_too_much_is_less_than_what_is_estimated() {
        // An eighth of the budget is for garbage.
        let garbage = garbage(400);
        assert_eq!(pressure(1100).excess(&garbage), 0);
        assert_eq!(pressure(1150).excess(&garbage), 50);
        assert_eq!(pressure(1150).certain_excess(&garbage), 0);
        assert_eq!(pressure(1250).certain_excess(&garbage), 50);
    }

    #[test]
    fn the_last_events_stay_while_a_compaction_may_make_room() {
        assert_eq!(pressure(5000).last_excess(&garbage(100)), 0);
        assert!(pressure(5000).last_excess(&garbage(99)) > 0);
    }

    #[test]
    fn broadcasts_and_messages_have_an_eighth_of_the_budget_at_least() {
        assert_eq!(pressure(0).part(&Garbage::default()), 175);
        let mut garbage = garbage(600);
        garbage.compacted(1);
        assert_eq!(pressure(0).part(&garbage), 100, "most of the budget is for garbage");
    }

    #[test]
    fn nobody_says_that_the_budget_is_exceeded_while_a_compaction_may_make_room() {
        assert_eq!(pressure(5000).is_over(&garbage(100)), None);
        assert_eq!(pressure(5000).is_over(&garbage(0)), Some(true));
        assert_eq!(pressure(800).is_over(&garbage(700)), Some(false));
        assert_eq!(pressure(750).is_over(&garbage(0)), Some(false));
    }
}
