//! Gives up the clients of a node that is cut off: elsewhere they get their events.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tracing::warn;

use super::DeliveryHandle;
use crate::ports::CloseReason;

/// Closes every connection once the feed has been silent for `grace`. Runs until the delivery task
/// is gone.
pub(super) async fn run(
    handle: DeliveryHandle,
    mut contact: watch::Receiver<Option<Instant>>,
    grace: Duration,
) {
    // Before the first contact nobody is connected.
    while contact.changed().await.is_ok() {
        loop {
            match timeout(grace, contact.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_elapsed) => break,
            }
        }
        warn!(?grace, "cut off from the store: closing all connections");
        handle.close_all(CloseReason::Isolated).await;
    }
}
