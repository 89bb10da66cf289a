//! What came of a run: its figures, and which of them break a promise.

use std::{collections::BTreeMap, time::Duration};

use super::{
    breaches::{Breach, Breaches},
    fleet::Start,
    plan::{EndureStore, Plan},
    sampler::Sample,
    tally::{Tally, in_milliseconds},
};

/// etcd's quota if no flag sets another. An embedded file has none, but is not to be larger either.
const QUOTA: u64 = 2 << 30;
/// How much more the store may take than its budget: pruning goes in steps.
const OVERSHOOT: f64 = 1.5;
/// Below this, a store is as small as it gets.
const SMALLEST: u64 = 4 << 20;
/// Memory that grows by less is flat.
const FLAT: f64 = 1.25;
const FLAT_BYTES: u64 = 64 << 20;

/// What an event of these takes of the embedded store's file, in bytes: 390 without a receipt, 760 with
/// one (400 000 events of 80 characters into an empty file).
const EMBEDDED_EVENT: f64 = 390.0;

/// One promise, and whether it was kept.
#[derive(Debug, Clone)]
pub struct Check {
    /// What has to be.
    pub promise: &'static str,
    /// What was.
    pub found: String,
    /// Whether that is as it has to be; `None`: it is only told.
    pub is_kept: Option<bool>,
}

/// All that a run has found.
#[derive(Debug)]
pub struct Outcome {
    /// What was done.
    pub plan: Plan,
    /// How long events were sent, in seconds.
    pub seconds: f64,
    /// Figures over time.
    pub samples: Vec<Sample>,
    /// What the clients were told.
    pub tally: Tally,
    /// What must not be.
    pub breaches: Breaches,
    /// Events whose answer was lost and that nobody received.
    pub unknown: u64,
    /// Every start of a node.
    pub starts: Vec<Start>,
    /// How often what was broken.
    pub faults: BTreeMap<String, usize>,
    /// Whether etcd has ever raised NOSPACE.
    pub is_full: bool,
}

impl Outcome {
    /// Whether every promise was kept.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.checks().iter().all(|check| check.is_kept != Some(false))
    }

    /// The longest time to ready.
    #[must_use]
    pub fn slowest_start(&self) -> Option<&Start> {
        self.starts.iter().max_by_key(|start| start.took)
    }

    /// The most of a figure.
    #[must_use]
    pub fn peak(&self, figure: impl Fn(&Sample) -> Option<u64>) -> u64 {
        self.samples.iter().filter_map(figure).max().unwrap_or_default()
    }

    /// What an event takes of the store, from how it filled. The embedded store's file grows by leaps, so
    /// there it is what an event was measured to take at least.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    pub fn bytes_per_event(&self) -> f64 {
        if self.plan.store == EndureStore::Embedded {
            return EMBEDDED_EVENT;
        }
        let full = self.plan.budget_bytes().unwrap_or(u64::MAX) as f64 * 0.8;
        let filling = self.samples.iter().filter(|sample| sample.committed > 0);
        let held = |sample: &Sample| sample.held().unwrap_or_default() as f64;
        let filled = filling.clone().take_while(|sample| held(sample) < full).last();
        let sample = filled.or_else(|| filling.clone().next());
        sample.map_or(0.0, |sample| held(sample) / sample.committed as f64)
    }

    /// How often what the budget holds was written.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    pub fn turnovers(&self) -> f64 {
        let written = self.tally.committed as f64 * self.bytes_per_event();
        self.plan.budget_bytes().map_or(0.0, |budget| written / budget as f64)
    }

    /// Every promise.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let (tally, breaches) = (&self.tally, &self.breaches);
        let must = |promise, is_kept: bool, found: String| Check {
            promise,
            found,
            is_kept: Some(is_kept),
        };
        let main = [Breach::Lost, Breach::Twice, Breach::OutOfOrder];
        let [lost, twice, disordered] = main.map(|breach| breaches.count(breach));
        let others = breaches.others(&main);
        let peak_file = self.peak(|sample| sample.file);
        let slowest = self.slowest_start().map(|start| start.took).unwrap_or_default();
        let mut checks = vec![
            must("0 lost", lost == 0, lost.to_string()),
            must("0 twice", twice == 0, twice.to_string()),
            must("0 out of order", disordered == 0, disordered.to_string()),
            must("no other breach", others == 0, breaches.to_string()),
            must("events were committed", tally.committed > 0, tally.committed.to_string()),
            must(
                "0 refused unless something is broken",
                tally.refused_in_calm.is_empty(),
                format!("{:?}", tally.refused_in_calm),
            ),
            must(
                "0 cut off unless something is broken",
                tally.cut_in_calm.is_empty(),
                format!("{:?}", tally.cut_in_calm),
            ),
            must("never NOSPACE", !self.is_full, if self.is_full { "raised" } else { "" }.into()),
            must("file below 2 GiB", peak_file < QUOTA, mebibytes(peak_file)),
            self.check_budget(),
            must(
                "the log turned over",
                self.turnovers() >= self.plan.least_turnovers,
                format!("{:.1} times", self.turnovers()),
            ),
            must("ready in time", slowest <= self.plan.ready_limit, format!("{slowest:.2?}")),
            self.check_p99(),
            self.check_flat("memory of the nodes flat", 0.2, true, |sample| {
                sample.node_rss.iter().flatten().max().copied()
            }),
        ];
        if self.peak(|sample| sample.etcd_heap) > 0 {
            let share = (1.0 / self.turnovers()).clamp(0.1, 0.5);
            let must_be = !self.plan.etcd_flags.is_empty();
            checks.push(
                self.check_flat("memory of etcd flat", share, must_be, |sample| sample.etcd_heap),
            );
        }
        checks
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes below 2^53"
    )]
    fn check_budget(&self) -> Check {
        let held = self.peak(Sample::held);
        let Some(budget) = self.plan.budget_bytes() else {
            return Check {
                promise: "store within its budget",
                found: format!("{}, no budget", mebibytes(held)),
                is_kept: None,
            };
        };
        // What is pruned is there until it is compacted.
        let rate = self.samples.iter().map(|sample| sample.per_second).fold(0.0, f64::max);
        let uncompacted =
            rate * self.bytes_per_event() * 2.0 * self.plan.compaction().as_secs_f64();
        let limit = (budget as f64 * OVERSHOOT + uncompacted) as u64 + SMALLEST;
        Check {
            promise: "store within its budget",
            found: format!(
                "{} of {}, at most {} with what is not compacted",
                mebibytes(held),
                mebibytes(budget),
                mebibytes(limit)
            ),
            is_kept: Some(held <= limit),
        }
    }

    fn check_p99(&self) -> Check {
        let p99 = |latency| in_milliseconds(latency).map(|(_, p99)| p99);
        let (first, last) = (p99(&self.tally.first.quiet), p99(&self.tally.last.quiet));
        let noise = self.plan.p99_noise.as_secs_f64() * 1e3;
        let is_kept = match (first, last) {
            (Some(first), Some(last)) => {
                last <= first * (1.0 + self.plan.p99_growth) || last - first <= noise
            }
            (_, _) => false,
        };
        let span = self.plan.compared_span();
        let found = format!("{} ms, then {} ms ({span:.0?} each)", figure(first), figure(last));
        Check { promise: "p99 of a quiet player as at first", found, is_kept: Some(is_kept) }
    }

    /// Compares the most from `share` of the run on until its middle with the most in its last quarter.
    fn check_flat(
        &self,
        promise: &'static str,
        share: f64,
        must_be: bool,
        figure: impl Fn(&Sample) -> Option<u64>,
    ) -> Check {
        let most = |from: f64, to: f64| {
            let (from, to) = (from * self.seconds, to * self.seconds);
            let within = self.samples.iter().filter(|it| (from..=to).contains(&it.seconds));
            within.filter_map(&figure).max()
        };
        let (first, last) = (most(share, 0.5 + share / 2.0), most(0.75, 1.0));
        let is_flat = match (first, last) {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            (Some(first), Some(last)) => {
                last as f64 <= first as f64 * FLAT || last <= first + FLAT_BYTES
            }
            (_, _) => false,
        };
        let text = |size: Option<u64>| size.map_or_else(|| "unknown".to_owned(), mebibytes);
        let flat = if is_flat { "flat" } else { "it grows" };
        let found = format!("{}, then {} ({flat})", text(first), text(last));
        Check { promise, found, is_kept: must_be.then_some(is_flat) }
    }

    /// The calm part's mean of committed events a second.
    #[must_use]
    pub fn rate_in_calm(&self) -> f64 {
        let calm: Vec<f64> =
            self.samples.iter().filter(|it| it.is_calm).map(|it| it.per_second).collect();
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let count = calm.len().max(1) as f64;
        calm.iter().sum::<f64>() / count
    }

    /// For how long events were sent.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

pub(super) fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "no".to_owned(), |value| format!("{value:.1}"))
}

/// A size as text.
pub(super) fn mebibytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    format!("{mebibytes:.0} MiB")
}
