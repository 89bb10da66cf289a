//! Where the store's log ends, asked for by joins whose cursor is ahead of this node. However many
//! ask, one read is on its way at a time.

use std::sync::Arc;

use game_realtime_domain::Cursor;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use crate::ports::EventFeed;

/// Questions waiting for the next read; more wait to be asked.
const ASKING: usize = 1024;

type Question = oneshot::Sender<Option<Cursor>>;

/// Asks where the log ends.
#[derive(Clone)]
pub(super) struct LogEnd(mpsc::Sender<Question>);

/// The questions, for the task that reads.
pub(super) struct Questions(mpsc::Receiver<Question>);

impl LogEnd {
    pub(super) fn new() -> (Self, Questions) {
        let (sender, receiver) = mpsc::channel(ASKING);
        (Self(sender), Questions(receiver))
    }

    /// The end of the log, by a read that began after this call; `None` if the store does not answer.
    pub(super) async fn read(&self) -> Option<Cursor> {
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.ok()?;
        answered.await.ok()?
    }
}

/// Answers questions until nobody can ask any more. A question that comes during a read waits for
/// the next one: what was committed since then is not part of the answer.
pub(super) async fn run(feed: Arc<dyn EventFeed>, Questions(mut questions): Questions) {
    let mut asking = Vec::new();
    while questions.recv_many(&mut asking, ASKING).await > 0 {
        let end = feed.end().await;
        if let Err(error) = &end {
            debug!(error = %error, cause = %error.source, "end of the log unavailable");
        }
        let end = end.ok();
        for answer in asking.drain(..) {
            // A client may have lost its patience.
            answer.send(end.clone()).ok();
        }
    }
}
