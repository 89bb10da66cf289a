//! Keeps the feed open: follows it, and opens it again where it broke.

use std::sync::Arc;

use game_realtime_domain::{Epoch, Position};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{DeliveryConfig, backoff::Backoff};
use crate::ports::{EventFeed, FeedUpdate, FollowError, History, StoreError};

/// What the follower tells the delivery task.
pub(super) enum Followed {
    /// The next stretch of the order.
    Update(FeedUpdate),
    /// Events were lost; this is where the order goes on.
    Restart(History),
}

/// Reads the history a node starts from. Tries until the store answers.
pub(super) async fn first_history(
    feed: &Arc<dyn EventFeed>,
    config: &DeliveryConfig,
    backoff: &mut Backoff,
) -> History {
    backoff.reset();
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
    mut backoff: Backoff,
    mut epoch: Epoch,
    mut head: Position,
    updates: mpsc::Sender<Followed>,
) {
    backoff.reset();
    loop {
        let broken = match feed.follow(&epoch, head).await {
            Err(error) => error,
            Ok(mut stream) => loop {
                match stream.next().await {
                    Ok(update) => {
                        backoff.reset();
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
                let history = first_history(&feed, &config, &mut backoff).await;
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
    feed.recent(config.timeline).await
}
