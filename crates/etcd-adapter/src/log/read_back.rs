//! Reads the log from its newest event back, until a history holds what it should.

use game_realtime_application::{HistoryBuilder, ports::StoreError};
use game_realtime_domain::{EventType, Position};

use super::reader::{Entry, LogReader};

/// What was read.
pub(crate) struct ReadBack {
    pub(crate) history: HistoryBuilder,
    /// Events of this position and before may be gone.
    pub(crate) pruned: Position,
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
    for stretch in log.stretches().await? {
        for event_type in EventType::ALL {
            let mut cursor = log.newest(event_type, stretch);
            loop {
                let entries = log.read(&mut cursor, usize::MAX).await?;
                if entries.is_empty() {
                    break;
                }
                for entry in entries {
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
        }
        let complete = stretch.to.map(|to| Position::new(to, 0));
        let needed = history.floor().max(pruned).max(after);
        if complete.is_some_and(|complete| needed >= complete) {
            break;
        }
    }
    // What was deleted while it was read had been marked before.
    let pruned = log.pruned().await?;
    Ok(ReadBack { history, pruned })
}
