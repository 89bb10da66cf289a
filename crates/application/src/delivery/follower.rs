//! Keeps the feed open: follows it, and opens it again where it broke.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use game_realtime_domain::{Epoch, Position};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::DeliveryConfig;
use crate::ports::{EventFeed, FeedUpdate, FollowError, History, StoreError};

/// What the follower tells the delivery task.
pub(super) enum Followed {
    /// The next stretch of the order.
    Update(FeedUpdate),
    /// Events were lost; this is where the order goes on.
    Restart(History),
}

/// The pauses between attempts: doubling, with jitter so that nodes do not return in step.
struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);

    async fn pause(&mut self) {
        // Up to a quarter more. A fresh RandomState is seeded differently in every process.
        let jitter = RandomState::new().hash_one(()) % 256;
        let jitter = u32::try_from(jitter).unwrap_or_default();
        tokio::time::sleep(self.0 + self.0 * jitter / 1024).await;
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }
}

/// Reads the history a node starts from. Tries until the store answers.
pub(super) async fn first_history(feed: &Arc<dyn EventFeed>, config: &DeliveryConfig) -> History {
    let mut backoff = Backoff(Backoff::FIRST);
    let mut warned = false;
    loop {
        match history(feed, config).await {
            Ok(history) => return history,
            Err(error) => {
                if !warned {
                    warn!(error = %error, cause = %error.source, "event history unavailable, retrying");
                    warned = true;
                }
                backoff.pause().await;
            }
        }
    }
}

/// Runs until the delivery task is gone.
pub(super) async fn run(
    feed: Arc<dyn EventFeed>,
    config: DeliveryConfig,
    mut epoch: Epoch,
    mut head: Position,
    updates: mpsc::Sender<Followed>,
) {
    let mut backoff = Backoff(Backoff::FIRST);
    loop {
        let broken = match feed.follow(&epoch, head).await {
            Err(error) => error,
            Ok(mut stream) => loop {
                match stream.next().await {
                    Ok(update) => {
                        backoff = Backoff(Backoff::FIRST);
                        head = head.max(update.head);
                        if updates.send(Followed::Update(update)).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => break error,
                }
            },
        };
        match broken {
            FollowError::Store(error) => {
                warn!(position = %head, error = %error, cause = %error.source, "event feed broke, opening it again");
                backoff.pause().await;
            }
            FollowError::Lost => {
                metrics::counter!("game_realtime_feed_gaps_total").increment(1);
                warn!(position = %head, "events were lost from the store: closing all connections");
                let history = first_history(&feed, &config).await;
                info!(position = %history.head, "event feed starts anew");
                epoch = history.epoch.clone();
                head = history.head;
                if updates.send(Followed::Restart(history)).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn history(
    feed: &Arc<dyn EventFeed>,
    config: &DeliveryConfig,
) -> Result<History, StoreError> {
    feed.recent(config.timeline.age, config.timeline.events).await
}
