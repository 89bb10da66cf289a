//! What was deleted and takes space until the history is compacted, and when to compact it.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// History that is younger than this is not compacted even when space is short: feeds that are a little
/// behind need it. (Those that need older history catch up from the log.)
const SHORTEST_HISTORY: Duration = Duration::from_secs(1);
/// Compactions are worth it early once this part of the budget is garbage.
const EARLY_PART: u64 = 16;

/// Estimates, in bytes, and the times of revisions.
#[derive(Debug, Default)]
pub(super) struct Garbage {
    /// The revisions of deletions, with what each left behind.
    deleted: VecDeque<(u64, u64)>,
    bytes: u64,
    /// The most garbage there was before each of the last compactions.
    peaks: VecDeque<u64>,
    /// When etcd had come to which revision.
    passed: VecDeque<(Instant, u64)>,
    compacted: u64,
    compacted_at: Option<Instant>,
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

    /// How much room garbage needs beside what is kept, within `budget`.
    pub(super) fn reserve(&self, budget: u64) -> u64 {
        let peak = self.peaks.iter().copied().max().unwrap_or_default();
        peak.clamp(budget / 4, budget / 2)
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
    }

    /// The revision to compact to now, if it is time.
    pub(super) fn due(&self, interval: Duration, budget: Option<u64>) -> Option<u64> {
        let now = Instant::now();
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

    /// Notes that the history up to a revision is compacted and its space free.
    pub(super) fn compacted(&mut self, revision: u64) {
        self.compacted = self.compacted.max(revision);
        self.compacted_at = Some(Instant::now());
        self.peaks.push_back(self.bytes);
        if self.peaks.len() > 3 {
            self.peaks.pop_front();
        }
        while let Some((_, bytes)) = self.deleted.pop_front_if(|(at, _)| *at <= revision) {
            self.bytes -= bytes;
        }
    }
}
