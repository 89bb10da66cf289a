//! What is told of records that this release cannot read: each is counted, a few are logged.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use game_realtime_domain::Position;
use tokio::time::Instant;
use tracing::error;

use crate::records::UnreadableRecord;

/// Between two lines: a newer release may have left as many records as it likes.
const PAUSE: Duration = Duration::from_secs(10);

/// Remembers when it told something last.
#[derive(Debug, Default)]
pub(crate) struct Unreadable(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    logged_at: Option<Instant>,
    /// Records since then.
    more: u64,
}

impl Unreadable {
    /// Notes a record that is passed over. No node of this release can read it, so nobody gets it: the
    /// order stays the same for all.
    pub(crate) fn note(&self, position: Position, unreadable: &UnreadableRecord) {
        metrics::counter!("game_realtime_feed_unreadable_total").increment(1);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.logged_at.is_some_and(|at| at.elapsed() < PAUSE) {
            state.more += 1;
            return;
        }
        let more = std::mem::take(&mut state.more);
        state.logged_at = Some(Instant::now());
        drop(state);
        error!(
            %position,
            error = %unreadable,
            since_the_last_line = more,
            "an event in the store cannot be read by this release, passed over"
        );
    }
}
