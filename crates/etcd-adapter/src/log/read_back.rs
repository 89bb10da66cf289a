//! Reads the log from its newest event back, until a history holds what it should.

use etcd_client::KeyValue;
use game_realtime_application::{HistoryBuilder, ports::StoreError};
use game_realtime_domain::{EventType, Position};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::reader::{Entry, LogReader, Stretch};
use crate::cluster::CallError;

/// Ranges that are read before the ones before them are decoded: etcd and the node work side by side.
const AHEAD: usize = 2;

/// What was read.
pub(crate) struct ReadBack {
    pub(crate) history: HistoryBuilder,
    /// Events of this position and before may be gone.
    pub(crate) pruned: Position,
}

/// What is read, newest first.
enum Part {
    Pairs(Vec<KeyValue>),
    /// All of a stretch has been read.
    End(Stretch),
}

/// Adds what was committed up to a revision to `history`, newest first, until it has enough, or is
/// known to hold everything after a position.
pub(crate) async fn read_back(
    log: &LogReader,
    revision: u64,
    after: Position,
    mut history: HistoryBuilder,
) -> Result<ReadBack, StoreError> {
    let pruned = log.pruned().await?;
    log.load_segments().await?;
    let stretches = log.stretches().await?;
    let (parts, mut read) = mpsc::channel(AHEAD);
    let reading = AbortOnDropHandle::new(tokio::spawn(read_all(log.clone(), stretches, parts)));
    while let Some(part) = read.recv().await {
        match part {
            Part::Pairs(pairs) => {
                for entry in pairs.iter().map(|pair| log.entry(pair)) {
                    // What came meanwhile comes with the feed.
                    if entry.position().revision > revision {
                        continue;
                    }
                    match entry {
                        Entry::Event(event) => history.add(event),
                        Entry::Unreadable(position) => history.pass_over(position),
                    }
                }
            }
            Part::End(stretch) => {
                let complete = stretch.to.map(|to| Position::new(to, 0));
                let needed = history.floor().max(pruned).max(after);
                if complete.is_some_and(|complete| needed >= complete) {
                    // What was deleted while it was read had been marked before.
                    return Ok(ReadBack { history, pruned: log.pruned().await? });
                }
            }
        }
    }
    reading.await.map_err(StoreError::unavailable)??;
    Ok(ReadBack { history, pruned: log.pruned().await? })
}

/// Reads stretch after stretch until nobody listens any more.
async fn read_all(
    log: LogReader,
    stretches: Vec<Stretch>,
    parts: mpsc::Sender<Part>,
) -> Result<(), CallError> {
    for stretch in stretches {
        for event_type in EventType::ALL {
            let mut cursor = log.newest(event_type, stretch);
            loop {
                let pairs = log.read_pairs(&mut cursor, usize::MAX).await?;
                if pairs.is_empty() {
                    break;
                }
                if parts.send(Part::Pairs(pairs)).await.is_err() {
                    return Ok(());
                }
            }
        }
        if parts.send(Part::End(stretch)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
