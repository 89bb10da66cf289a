//! What the writer knows of the file's space, and what it says about it.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::pruning::Pruned;
use crate::{ledger::Ledger, space::Target};

/// How long pruning by space has to be over before it is logged again.
const QUIET: Duration = Duration::from_secs(600);
/// How much longer than its budget the file may be before that is trouble: a sixteenth.
const MARGIN: u64 = 16;
/// How often the writer tries to cut a file that is too long.
const COMPACTION_INTERVAL: Duration = Duration::from_secs(60);

/// Compares what is in use, and the file, with the budget.
pub(super) struct SpaceWatch {
    /// 0: none.
    budget: u64,
    /// Whether pruning by space has begun and not reached its end.
    pub(super) pressed: bool,
    pressed_at: Option<Instant>,
    over_budget: bool,
    compact_at: Instant,
}

impl SpaceWatch {
    pub(super) fn new(budget: u64) -> Self {
        metrics::gauge!("game_realtime_store_space_bytes", "kind" => "budget").set(bytes(budget));
        metrics::gauge!("game_realtime_store_over_budget").set(0.0);
        Self {
            budget,
            pressed: false,
            pressed_at: None,
            over_budget: false,
            compact_at: Instant::now(),
        }
    }

    /// How much may be in use; `None`: any amount.
    pub(super) fn target(&self) -> Option<Target> {
        (self.budget > 0).then(|| Target::within(self.budget))
    }

    /// Notes what a transaction did.
    pub(super) fn note(&mut self, ledger: &Ledger, pruned: &Pruned, length: u64) {
        let in_use = ledger.space.total();
        metrics::gauge!("game_realtime_store_space_bytes", "kind" => "file").set(bytes(length));
        metrics::gauge!("game_realtime_store_space_bytes", "kind" => "in_use").set(bytes(in_use));
        if pruned.events > 0 {
            metrics::counter!("game_realtime_pruned_events_total").increment(pruned.events);
            metrics::counter!("game_realtime_space_pruned_events_total")
                .increment(pruned.space_events);
        }
        if pruned.receipts > 0 {
            metrics::counter!("game_realtime_pruned_receipts_total").increment(pruned.receipts);
        }
        if pruned.pressed || pruned.space_events > 0 {
            let now = Instant::now();
            if self.pressed_at.is_none_or(|last| now.duration_since(last) > QUIET) {
                warn!(
                    budget_bytes = self.budget,
                    in_use_bytes = in_use,
                    "the space budget is used up: the oldest events go before their retention is \
                     over; raise embedded.space_budget to keep them longer"
                );
            }
            self.pressed_at = Some(now);
        }
        self.pressed = pruned.pressed;
        self.compare(length, pruned.stuck);
    }

    /// Whether to try now to cut the file.
    pub(super) fn compaction_is_due(&mut self, length: u64) -> bool {
        let now = Instant::now();
        let too_long = self.over_budget && length > self.budget;
        let due = too_long && !self.pressed && now >= self.compact_at;
        if due {
            self.compact_at = now + COMPACTION_INTERVAL;
        }
        due
    }

    /// Compares the file's length with the budget.
    pub(super) fn compare(&mut self, length: u64, stuck: bool) {
        let over = self.budget > 0 && (stuck || length > self.budget + self.budget / MARGIN);
        if over == self.over_budget {
            return;
        }
        self.over_budget = over;
        metrics::gauge!("game_realtime_store_over_budget").set(if over { 1.0 } else { 0.0 });
        if over {
            warn!(
                budget_bytes = self.budget,
                file_bytes = length,
                "the file of the embedded store is larger than its space budget; events are not \
                 refused; raise embedded.space_budget"
            );
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a measurement")]
fn bytes(bytes: u64) -> f64 {
    bytes as f64
}
