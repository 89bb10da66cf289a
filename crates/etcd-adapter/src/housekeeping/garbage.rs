//! What was deleted and takes space until the history is compacted, and when to compact it.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// History that is younger than this is not compacted even when space is short: feeds that are a little
/// behind need it. (Those that need older history catch up from the log.)
const SHORTEST_HISTORY: Duration = Duration::from_secs(1);
/// Compactions are worth it early once this part of the budget is garbage.
const EARLY_PART: u64 = 16;

/// Times that are remembered, with the revision etcd had come to.
const REMEMBERED: usize = 256;
/// How long what is deleted takes space, at first: for the shortest history, two rounds and a compaction.
const TURNAROUND: Duration = Duration::from_secs(8);
/// Before a compaction is tried again that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// Estimates, in bytes, and the times of revisions.
#[derive(Debug, Default)]
pub(super) struct Garbage {
    /// The revisions of deletions, with what each left behind.
    deleted: VecDeque<(u64, u64)>,
    bytes: u64,
    /// The most garbage there was before each of the last compactions.
    peaks: VecDeque<u64>,
    /// What etcd had in use, and when.
    in_use: Option<(Instant, u64)>,
    /// How fast that grew of late, in bytes per second.
    growth: u64,
    /// When etcd had come to which revision.
    passed: VecDeque<(Instant, u64)>,
    compacted: u64,
    compacted_at: Option<Instant>,
    failed_at: Option<Instant>,
}

impl Garbage {
    /// Notes what a deletion left behind.
    pub(super) fn add(&mut self, revision: u64, bytes: u64) {
        self.deleted.push_back((revision, bytes));
        self.bytes += bytes;
    }

    /// What takes space until the history is compacted.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The revision of the oldest deletion that is not compacted.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.deleted.front().map(|(revision, _)| *revision)
    }

    /// How much room garbage needs beside what is kept, within `budget`: as much as there was before the
    /// last compactions. Before the first one, that follows from how fast events are written.
    pub(super) fn reserve(&self, budget: u64) -> u64 {
        let expected = self.growth.saturating_mul(TURNAROUND.as_secs()).min(budget / 2);
        let peak = self.peaks.iter().copied().max().unwrap_or(expected);
        peak.clamp(budget / 8, budget / 4 * 3)
    }

    /// Notes what etcd has in use.
    pub(super) fn in_use(&mut self, bytes: u64) {
        let now = Instant::now();
        if let Some((at, before)) = self.in_use.replace((now, bytes)) {
            let grown = u128::from(bytes.saturating_sub(before)) * 1000;
            let rate = grown / (now - at).as_millis().max(1);
            // A rise counts at once, a fall slowly.
            self.growth = u64::try_from(rate).unwrap_or(u64::MAX).max(self.growth / 10 * 9);
        }
    }

    /// Notes what revision etcd has come to.
    pub(super) fn passed(&mut self, revision: u64, interval: Duration) {
        let now = Instant::now();
        self.passed.push_back((now, revision));
        let longest = interval.max(SHORTEST_HISTORY) * 2;
        while self.passed.len() > 2
            && self.passed.front().is_some_and(|(at, _)| now - *at > longest)
        {
            self.passed.pop_front();
        }
        // With long intervals what is longer ago is remembered less finely.
        if self.passed.len() > REMEMBERED {
            let mut place = 0;
            self.passed.retain(|_| {
                place += 1;
                place > REMEMBERED / 2 || place % 2 == 1
            });
        }
    }

    /// The revision to compact to now, if it is time.
    pub(super) fn due(&self, interval: Duration, budget: Option<u64>) -> Option<u64> {
        let now = Instant::now();
        if self.failed_at.is_some_and(|at| now - at < RETRY_PAUSE) {
            return None;
        }
        let older_than = |age: Duration| {
            let old = self.passed.iter().rev().find(|(at, _)| now - *at >= age);
            old.map(|(_, revision)| *revision).filter(|revision| *revision > self.compacted)
        };
        let is_time = self.compacted_at.is_none_or(|at| now - at >= interval);
        let is_short = budget.is_some_and(|budget| self.bytes > budget / EARLY_PART);
        // Until the first one nobody knows how much of what etcd holds is garbage.
        let age = if self.compacted_at.is_none() { SHORTEST_HISTORY } else { interval };
        let by_time = is_time.then(|| older_than(age)).flatten();
        let by_space = is_short
            .then(|| older_than(SHORTEST_HISTORY))
            .flatten()
            .filter(|revision| self.oldest().is_some_and(|oldest| oldest <= *revision));
        by_time.max(by_space)
    }

    /// Notes that a compaction failed.
    pub(super) fn not_compacted(&mut self) {
        self.failed_at = Some(Instant::now());
    }

    /// Notes that the history up to a revision is compacted and its space free.
    pub(super) fn compacted(&mut self, revision: u64) {
        self.compacted = self.compacted.max(revision);
        self.compacted_at = Some(Instant::now());
        if self.bytes > 0 {
            self.peaks.push_back(self.bytes);
        }
        if self.peaks.len() > 3 {
            self.peaks.pop_front();
        }
        while let Some((_, bytes)) = self.deleted.pop_front_if(|(at, _)| *at <= revision) {
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);
    const BUDGET: Option<u64> = Some(1600);

    /// Lets seconds pass, in each of which etcd comes a hundred revisions further.
    async fn pass(garbage: &mut Garbage, revision: &mut u64, seconds: u64) {
        for _ in 0..seconds {
            advance(Duration::from_secs(1)).await;
            *revision += 100;
            garbage.passed(*revision, INTERVAL);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn history_is_compacted_at_intervals_and_the_last_interval_stays() {
        let (mut garbage, mut revision) = (Garbage::default(), 0);
        pass(&mut garbage, &mut revision, 100).await;
        // The first time it is soon, because nobody knows what is garbage.
        assert_eq!(garbage.due(INTERVAL, BUDGET), Some(revision - 100));
        garbage.not_compacted();
        assert_eq!(garbage.due(INTERVAL, BUDGET), None, "it failed just now");
        garbage.compacted(revision - 100);
        assert_eq!(garbage.due(INTERVAL, BUDGET), None);
        pass(&mut garbage, &mut revision, 29).await;
        assert_eq!(garbage.due(INTERVAL, BUDGET), None);
        pass(&mut garbage, &mut revision, 10).await;
        assert_eq!(garbage.due(INTERVAL, BUDGET), Some(revision - 3000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_interval_is_kept_without_remembering_every_second_of_it() {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let mut garbage = Garbage::default();
        garbage.compacted(0);
        for second in 1..=3 * DAY.as_secs() {
            advance(Duration::from_secs(1)).await;
            garbage.passed(second, DAY);
            assert!(garbage.passed.len() <= REMEMBERED);
        }
        let to = garbage.due(DAY, BUDGET).unwrap();
        assert!((DAY.as_secs()..=2 * DAY.as_secs()).contains(&to), "{to}");
    }

    #[tokio::test(start_paused = true)]
    async fn much_garbage_is_compacted_early_once_its_deletion_can_be() {
        let (mut garbage, mut revision) = (Garbage::default(), 0);
        pass(&mut garbage, &mut revision, 100).await;
        garbage.compacted(revision);
        garbage.add(revision + 50, 101);
        assert_eq!(garbage.due(INTERVAL, BUDGET), None, "what was deleted just now");
        pass(&mut garbage, &mut revision, 2).await;
        assert_eq!(garbage.due(INTERVAL, BUDGET), Some(revision - 100));
        assert_eq!(garbage.due(INTERVAL, Some(16_000)), None, "it is not much");
        assert_eq!(garbage.due(INTERVAL, None), None);
    }

    #[test]
    fn garbage_is_gone_with_the_revision_of_its_deletion() {
        let mut garbage = Garbage::default();
        assert_eq!(garbage.reserve(1600), 200, "nothing is known");
        garbage.add(10, 5);
        garbage.add(20, 700);
        garbage.compacted(10);
        assert_eq!((garbage.bytes(), garbage.oldest()), (700, Some(20)));
        garbage.compacted(25);
        assert_eq!((garbage.bytes(), garbage.oldest()), (0, None));
        // What there was shortly before has to find room the next time, too.
        assert_eq!(garbage.reserve(1600), 705);
        assert_eq!(garbage.reserve(800), 600, "but not more than three quarters");
        for revision in 30..33 {
            garbage.add(revision, 1);
            garbage.compacted(revision);
        }
        assert_eq!(garbage.reserve(1600), 200, "and not for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_first_compaction_garbage_is_expected_as_fast_as_events_are_written() {
        let mut garbage = Garbage::default();
        garbage.in_use(1000);
        advance(Duration::from_millis(500)).await;
        garbage.in_use(1040);
        assert_eq!(garbage.reserve(1600), 640);
        assert_eq!(garbage.reserve(800), 400, "but no more than half");
        for _ in 0..50 {
            advance(Duration::from_millis(500)).await;
            garbage.in_use(900);
        }
        assert_eq!(garbage.reserve(1600), 200);
    }
}
