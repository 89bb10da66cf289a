//! Records that nobody can read: counted, logged once each, passed over.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use tracing::error;

use crate::records::Unreadable;

/// How many numbers are remembered. Of more unreadable events the newest ones are counted, but not
/// logged.
const REMEMBERED: usize = 1000;

/// The unreadable events that readers have met since the start.
#[derive(Default)]
pub(crate) struct Unreadables(Mutex<BTreeSet<u64>>);

impl Unreadables {
    /// Notes that event `number` was passed over.
    pub(crate) fn pass_over(&self, number: u64, reason: &Unreadable) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&number) {
            return;
        }
        metrics::counter!("game_realtime_feed_unreadable_total").increment(1);
        if known.len() < REMEMBERED {
            known.insert(number);
            error!(event.number = number, %reason, "an event cannot be read and is passed over");
        }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
