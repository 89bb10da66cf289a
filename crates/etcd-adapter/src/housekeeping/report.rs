//! Tells operators about space: metrics always, a log line when something begins.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

/// Pruning by space is over once it was not necessary for this long.
const CALM: Duration = Duration::from_secs(600);

/// What etcd says of its space, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Space {
    pub(super) file: u64,
    pub(super) in_use: u64,
    /// Known from etcd 3.6 on.
    pub(super) quota: Option<u64>,
}

/// What was told before.
#[derive(Debug, Default)]
pub(super) struct Report {
    pruned_at: Option<Instant>,
    is_over: bool,
    is_quota_low: bool,
    is_hidden: bool,
}

impl Report {
    /// Publishes what is known.
    #[expect(clippy::cast_precision_loss, reason = "as metrics")]
    pub(super) fn space(&mut self, space: Space, budget: Option<u64>) {
        let gauge = |kind| metrics::gauge!("game_realtime_store_space_bytes", "kind" => kind);
        gauge("file").set(space.file as f64);
        gauge("in_use").set(space.in_use as f64);
        if let Some(budget) = budget {
            gauge("budget").set(budget as f64);
        }
        let low = budget.zip(space.quota).filter(|(budget, quota)| budget > quota);
        if low.is_some() != std::mem::replace(&mut self.is_quota_low, low.is_some())
            && let Some((budget, quota)) = low
        {
            error!(
                budget,
                quota,
                "etcd's quota is below etcd.space_budget: raise --quota-backend-bytes to twice the \
                 budget, or lower the budget to half the quota"
            );
        }
    }

    /// Notes whether etcd keeps its size from the node's user.
    pub(super) fn is_hidden(&mut self, is_hidden: bool) {
        if is_hidden && !self.is_hidden {
            error!(
                "etcd tells its size only to users with the role root, so etcd.space_budget is not \
                 kept: events go by age alone"
            );
        }
        self.is_hidden = is_hidden;
    }

    /// Notes whether events had to go before their retention was over.
    pub(super) fn pruned(&mut self, by_space: bool, space: Space, budget: u64) {
        let now = Instant::now();
        match self.pruned_at {
            None if by_space => warn!(
                in_use = space.in_use,
                budget,
                "etcd holds what etcd.space_budget allows: the oldest events go before their retention \
                 is over; to keep more, raise the budget and etcd's quota, or shorten \
                 events.retention and events.idempotency_window"
            ),
            Some(at) if !by_space && now - at >= CALM => {
                self.pruned_at = None;
                info!("etcd.space_budget suffices again");
            }
            Some(_) | None => {}
        }
        if by_space {
            self.pruned_at = Some(now);
        }
    }

    /// Notes whether the budget is exceeded although everything is gone that may go.
    pub(super) fn over_budget(&mut self, is_over: bool, space: Space, budget: u64) {
        metrics::gauge!("game_realtime_store_over_budget").set(f64::from(u8::from(is_over)));
        if is_over == std::mem::replace(&mut self.is_over, is_over) {
            return;
        }
        if is_over {
            error!(
                in_use = space.in_use,
                budget,
                "etcd holds more than etcd.space_budget and nothing of this gateway is left to prune: \
                 remove what other programs keep in this etcd, or raise the budget and etcd's quota"
            );
        } else {
            info!(in_use = space.in_use, budget, "etcd holds less than etcd.space_budget again");
        }
    }
}
