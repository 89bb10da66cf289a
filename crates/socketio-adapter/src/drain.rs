//! How a node goes: what is on its way is answered, clients are sent elsewhere a few at a time, and
//! who does not go is cut off.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use game_realtime_application::ports::CloseReason;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::gateway::Gateway;

/// How long events in flight may take to be answered, as a part of the time there is.
const ANSWER_PART: f64 = 0.25;
/// Over which part of it clients are sent away. What remains is for those who do not read.
const CLOSE_PART: f64 = 0.35;
/// How long that may take at most.
const LONGEST_CLOSE_PART: f64 = 0.5;
/// In how many batches: so that the other nodes do not get everybody at once.
const BATCHES: u32 = 20;
/// The least that a batch holds: a few clients are not worth spreading.
const SMALLEST_BATCH: usize = 4;
/// How long HTTP requests may take to end once all sessions have.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// Ends everything the gateway holds, by `deadline`. `cut` ends `connections`, whatever they do.
pub(crate) async fn drain(
    gateway: &Gateway,
    connections: &TaskTracker,
    cut: &CancellationToken,
    deadline: Instant,
) {
    let available = deadline.saturating_duration_since(Instant::now());
    let answered_by = Instant::now() + available.mul_f64(ANSWER_PART);
    gateway.settle(answered_by).await;
    gateway.refuse_events();
    gateway.settle(answered_by).await;
    let closing = close_in_batches(gateway, available.mul_f64(CLOSE_PART));
    // A node that has never seen its history does not answer, and has let nobody in.
    let closed = timeout(available.mul_f64(LONGEST_CLOSE_PART), closing).await.unwrap_or_default();
    gateway.tasks().close();
    connections.close();
    // Every session has a task until it is out of the registry.
    let ended = timeout_at(deadline, gateway.tasks().wait()).await;
    // Who has never joined, or is in the middle of a request.
    let last_answers = (Instant::now() + LAST_ANSWERS).min(deadline);
    if timeout_at(last_answers, connections.wait()).await.is_err() {
        cut.cancel();
        connections.wait().await;
    }
    if ended.is_err() {
        warn!(closed, tasks = gateway.tasks().len(), "drain ends before everything has");
    } else {
        info!(closed, "all connections are closed");
    }
}

/// Sends all clients away over so much time, and returns how many they were.
async fn close_in_batches(gateway: &Gateway, time: Duration) -> usize {
    let delivery = gateway.delivery();
    let close = |most| delivery.close_some(most, CloseReason::Drain);
    let mut left = close(0).await;
    let everybody = left;
    info!(connections = everybody, "draining");
    let batches = usize::try_from(BATCHES).unwrap_or(usize::MAX);
    let batch = everybody.div_ceil(batches).max(SMALLEST_BATCH);
    loop {
        left = close(batch).await;
        if left == 0 {
            return everybody;
        }
        sleep(jittered(time / BATCHES)).await;
    }
}

/// A duration up to half shorter than this one, so that nodes which go together do not keep step.
fn jittered(longest: Duration) -> Duration {
    // A fresh RandomState is seeded differently every time.
    let random = u32::try_from(RandomState::new().hash_one(()) % 256).unwrap_or_default();
    longest - longest / 512 * random
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_between_batches_differ_and_are_never_longer_than_said() {
        let longest = Duration::from_millis(80);
        let pauses: Vec<_> = (0..50).map(|_| jittered(longest)).collect();
        assert!(pauses.iter().all(|pause| (longest / 2..=longest).contains(pause)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
    }
}
