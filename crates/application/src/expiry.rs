//! Ends connections whose identity has run out.
//!
//! One task looks at the clock for all connections of the node: a timer for each would cost memory
//! that most connections never need.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use game_realtime_domain::{ConnectionId, Timestamp};
use tokio::{task::yield_now, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    panics::{Watchdog, panic_point},
    ports::{ClientPush, Clock, CloseReason},
};

/// How often it looks. A connection outlives its identity by no more than this.
const INTERVAL: Duration = Duration::from_millis(500);
/// How many connections are closed in one go before others get their turn: tokens of one login
/// wave end together.
const AT_ONCE: usize = 256;

/// The connections whose identity ends one day, by that day.
pub struct Expiry {
    clock: Arc<dyn Clock>,
    pending: Mutex<BTreeMap<(Timestamp, ConnectionId), Arc<dyn ClientPush>>>,
}

impl Expiry {
    /// Starts looking, in a task that `tracker` owns, `stop` ends and `watchdog` watches.
    pub fn start(
        clock: Arc<dyn Clock>,
        tracker: &TaskTracker,
        stop: CancellationToken,
        watchdog: &Watchdog,
    ) -> Arc<Self> {
        let expiry = Arc::new(Self { clock, pending: Mutex::default() });
        let watch = stop.run_until_cancelled_owned(Arc::clone(&expiry).run());
        tracker.spawn(watchdog.clone().watch("expiry", watch));
        expiry
    }

    /// Closes the connection with [`CloseReason::TokenExpired`] soon after `at`, and never before,
    /// unless it is forgotten first.
    pub fn watch(&self, id: ConnectionId, at: Timestamp, push: Arc<dyn ClientPush>) {
        self.lock().insert((at, id), push);
    }

    /// Forgets a connection that has ended. `at` is what it was watched with.
    pub fn forget(&self, id: ConnectionId, at: Timestamp) {
        self.lock().remove(&(at, id));
    }

    async fn run(self: Arc<Self>) {
        loop {
            sleep(INTERVAL).await;
            panic_point("expiry");
            loop {
                let due = self.take_due(self.clock.now());
                for push in &due {
                    push.close(CloseReason::TokenExpired);
                }
                if due.len() < AT_ONCE {
                    break;
                }
                yield_now().await;
            }
        }
    }

    fn take_due(&self, now: Timestamp) -> Vec<Arc<dyn ClientPush>> {
        let mut pending = self.lock();
        let mut due = Vec::new();
        while due.len() < AT_ONCE
            && let Some(first) = pending.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Timestamp, ConnectionId), Arc<dyn ClientPush>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
