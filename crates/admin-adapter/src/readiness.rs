//! Whether this node may get traffic.

use std::{
    error::Error,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use game_realtime_application::ports::StoreHealth;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// A store that has not answered by then counts as one that does not.
const STORE_DEADLINE: Duration = Duration::from_secs(2);

/// A feed that was not known to be current for so long may be missing events.
const FEED_MAX_AGE: Duration = Duration::from_secs(5);

/// What readiness depends on.
pub struct Readiness {
    store: Arc<dyn StoreHealth>,
    feed_age: FeedAge,
    draining: CancellationToken,
    /// What was found last; `None` before anybody asked.
    was_ready: Mutex<Option<bool>>,
}

/// How long ago the feed was last known to be current; `None` before it ever was.
pub type FeedAge = Box<dyn Fn() -> Option<Duration> + Send + Sync>;

/// Why a node is not ready.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct Reason {
    /// Which check failed.
    pub check: &'static str,
    /// What it found, for people.
    pub message: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.check, self.message)
    }
}

impl Readiness {
    /// Looks at the store (which also knows whether it still holds this node's registrations), at
    /// the feed, and at `draining`, which is cancelled when the node begins to shut down.
    #[must_use]
    pub fn new(
        store: Arc<dyn StoreHealth>,
        feed_age: FeedAge,
        draining: CancellationToken,
    ) -> Self {
        Self { store, feed_age, draining, was_ready: Mutex::default() }
    }

    /// Asks everything, within [`STORE_DEADLINE`]. Ready means no reason against it. Whoever asks,
    /// a change is logged.
    pub(crate) async fn reasons(&self) -> Vec<Reason> {
        let reasons = self.ask().await;
        let ready = reasons.is_empty();
        metrics::gauge!("game_realtime_ready").set(f64::from(u8::from(ready)));
        let before = self.was_ready.lock().unwrap_or_else(PoisonError::into_inner).replace(ready);
        if before != Some(ready) {
            let text = || reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; ");
            match (ready, before) {
                (true, _) => info!("ready"),
                (false, Some(_)) => warn!(reasons = text(), "not ready"),
                // It has just started.
                (false, None) => info!(reasons = text(), "not ready yet"),
            }
        }
        reasons
    }

    /// Shows what can only be known by asking, in metrics.
    pub(crate) fn record(&self) {
        if let Some(age) = (self.feed_age)() {
            metrics::gauge!("game_realtime_feed_age_seconds").set(age.as_secs_f64());
        }
    }

    async fn ask(&self) -> Vec<Reason> {
        let draining = self
            .draining
            .is_cancelled()
            .then(|| Reason { check: "draining", message: "the node is shutting down".to_owned() });
        let store = self.store_trouble().await.map(|message| Reason { check: "store", message });
        let feed = self.feed_trouble().map(|message| Reason { check: "feed", message });
        draining.into_iter().chain(store).chain(feed).collect()
    }

    /// Asks the store and shows the answer in `game_realtime_store_up`.
    async fn store_trouble(&self) -> Option<String> {
        let trouble = match timeout(STORE_DEADLINE, self.store.check()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some(format!("no answer within {STORE_DEADLINE:?}")),
        };
        let up = if trouble.is_none() { 1.0 } else { 0.0 };
        metrics::gauge!("game_realtime_store_up").set(up);
        trouble
    }

    fn feed_trouble(&self) -> Option<String> {
        match (self.feed_age)() {
            None => Some("not followed yet".to_owned()),
            Some(age) if age < FEED_MAX_AGE => None,
            Some(age) => Some(format!("not known to be current for {:.1} s", age.as_secs_f64())),
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing into a String cannot fail.
        write!(text, ": {cause}").ok();
        source = cause.source();
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use async_trait::async_trait;
    use game_realtime_application::ports::StoreError;

    use super::*;

    pub(crate) enum Store {
        Up,
        Down,
        Silent,
    }

    #[async_trait]
    impl StoreHealth for Store {
        async fn check(&self) -> Result<(), StoreError> {
            match self {
                Self::Up => Ok(()),
                Self::Down => Err(StoreError::unavailable("connection refused")),
                Self::Silent => std::future::pending().await,
            }
        }
    }

    pub(crate) fn readiness(store: Store, feed_age: Option<Duration>) -> Readiness {
        Readiness::new(Arc::new(store), Box::new(move || feed_age), CancellationToken::new())
    }

    const FRESH: Option<Duration> = Some(Duration::from_millis(4999));

    async fn messages(readiness: &Readiness) -> Vec<String> {
        let reasons = readiness.reasons().await;
        reasons.iter().map(Reason::to_string).collect()
    }

    #[tokio::test]
    async fn a_node_with_its_store_and_a_current_feed_is_ready() {
        assert!(messages(&readiness(Store::Up, FRESH)).await.is_empty());
    }

    #[tokio::test]
    async fn every_reason_is_named() {
        let broken = readiness(Store::Down, None);
        broken.draining.cancel();
        assert_eq!(
            messages(&broken).await,
            [
                "draining: the node is shutting down",
                "store: store unavailable: connection refused",
                "feed: not followed yet",
            ],
        );
    }

    #[tokio::test]
    async fn a_feed_is_current_for_less_than_five_seconds() {
        assert_eq!(
            messages(&readiness(Store::Up, Some(FEED_MAX_AGE))).await,
            ["feed: not known to be current for 5.0 s"],
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_is_not_ready_after_two_seconds() {
        let before = tokio::time::Instant::now();
        assert_eq!(
            messages(&readiness(Store::Silent, FRESH)).await,
            ["store: no answer within 2s"],
        );
        assert_eq!(before.elapsed().as_secs(), 2);
    }
}
