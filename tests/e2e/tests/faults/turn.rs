//! How long the scenarios run, and that they do not run into each other.

use std::{env, time::Duration};

use game_realtime_e2e::Vitals;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep},
};

/// Scenarios measure time: only so many share the machine.
static TURNS: Semaphore = Semaphore::const_new(2);

/// How soon readiness turns, and turns back.
pub(crate) const READINESS_LIMIT: Duration = Duration::from_secs(5);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Waits for this scenario's turn, which ends when the permit is dropped.
pub(crate) async fn turn() -> SemaphorePermit<'static> {
    // The long form has the machine for itself.
    let permits = if is_long() { 2 } else { 1 };
    TURNS.acquire_many(permits).await.expect("it is never closed")
}

/// Whether this is the long form.
pub(crate) fn is_long() -> bool {
    env::var_os("GAME_REALTIME_FAULTS").is_some_and(|form| form == "long")
}

/// One of two figures: of the short form, or of the long.
pub(crate) fn short_or_long<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// Waits until a condition holds, and returns how long that took.
pub(crate) async fn within(limit: Duration, what: &str, holds: impl Fn() -> bool) -> Duration {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "{what} within {limit:?}");
        sleep(POLL_INTERVAL).await;
    }
    started.elapsed()
}

/// Waits until a node's readiness is as said, and returns how long after `since` it turned.
pub(crate) async fn readiness_turns(vitals: &Vitals, ready: bool, since: Instant) -> Duration {
    let left = (since + READINESS_LIMIT).saturating_duration_since(Instant::now());
    let what = if ready { "ready" } else { "not ready" };
    let turned = || vitals.turned(ready, since);
    within(left, what, || turned().is_some() || vitals.is_ready() == ready).await;
    turned().unwrap_or_default()
}
