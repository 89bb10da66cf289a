//! Those who join go one by one, and only while nobody who plays has to wait for it.

use std::time::Duration;

use tokio::{sync::Semaphore, task::yield_now, time::Instant};

/// Every step of joining that takes a while (accepting, the first request, the first packet, becoming
/// ready) passes here first: the next one begins when the node has nothing else to do. So an event waits for
/// one step at most at each of its own, however many clients come in at once.
pub(crate) struct Turnstile(Semaphore);

/// A turn of all tasks that takes so long is felt by those who play.
const BUSY: Duration = Duration::from_millis(2);
/// How long the next one waits at most: a node that is never idle has to let clients in all the same.
const LONGEST_WAIT: Duration = Duration::from_micros(2500);

impl Turnstile {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(1))
    }

    /// Waits for one's turn. What follows until the caller waits again is the step.
    pub(crate) async fn pass(&self) {
        // Nobody closes it.
        let _turn = self.0.acquire().await;
        let begun = Instant::now();
        loop {
            let turn = Instant::now();
            // Goes on once every other task that can has run, and what came in has been read.
            yield_now().await;
            if turn.elapsed() < BUSY || begun.elapsed() > LONGEST_WAIT {
                return;
            }
        }
    }
}
