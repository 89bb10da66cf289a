//! An open watch that is known to be alive: etcd does not say when it has lost its leader or we have
//! lost etcd, so it is asked for signs of life.

use std::{sync::Arc, time::Duration};

use etcd_client::{WatchResponse, WatchStream};
use game_realtime_application::ports::StoreError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

use crate::cluster::{CallError, Cluster, Member};

/// How often etcd is asked for a sign of life.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// A watch that is silent for so long is broken.
const SILENCE: Duration = Duration::from_secs(2);

pub(crate) struct LiveWatch {
    cluster: Arc<Cluster>,
    stream: WatchStream,
    member: Arc<Member>,
    progress: Interval,
    heard_at: Instant,
}

#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("watch was canceled: {0}")]
    Canceled(String),
    #[error("watch ended")]
    Ended,
    #[error("watch is silent")]
    Silent,
}

impl LiveWatch {
    /// A watch that was just opened at a member.
    pub(crate) fn new(cluster: Arc<Cluster>, (stream, member): (WatchStream, Arc<Member>)) -> Self {
        let mut progress = interval(PROGRESS_INTERVAL);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { cluster, stream, member, progress, heard_at: Instant::now() }
    }

    /// Waits for the next message, which may be but a sign of life. Nothing is lost by dropping the
    /// future. After an error the watch is over.
    pub(crate) async fn next(&mut self) -> Result<WatchResponse, StoreError> {
        loop {
            tokio::select! {
                biased;
                message = self.stream.message() => {
                    self.heard_at = Instant::now();
                    let message = message.map_err(|error| {
                        let error = CallError::Etcd(error);
                        self.cluster.refused(&self.member, error.refusal());
                        StoreError::from(error)
                    })?;
                    let message =
                        message.ok_or_else(|| StoreError::unavailable(WatchError::Ended))?;
                    if message.canceled() || message.compact_revision() > 0 {
                        // If it was compacted, who follows again notices.
                        self.cluster.cancelled(&self.member, message.cancel_reason());
                        let reason = WatchError::Canceled(message.cancel_reason().to_owned());
                        return Err(StoreError::unavailable(reason));
                    }
                    return Ok(message);
                }
                _ = self.progress.tick() => {
                    if self.heard_at.elapsed() > SILENCE {
                        self.cluster.leave(&self.member);
                        return Err(StoreError::unavailable(WatchError::Silent));
                    }
                    timeout(PROGRESS_INTERVAL, self.stream.request_progress())
                        .await
                        .map_err(StoreError::unavailable)?
                        .map_err(StoreError::unavailable)?;
                }
            }
        }
    }
}
