//! Reads the event log backwards, all types side by side, until enough of it is known without
//! holes.

use game_realtime_application::{PositionedEvent, ports::StoreError};
use game_realtime_domain::{EventType, Position};

use crate::log_reader::{Backwards, LogReader};

/// Events per range.
const PAGE: usize = 500;
/// How far the stamps of events can be out of commit order, in milliseconds: how long a
/// transaction may be on its way, and how far the clock of a node that sees no events may be off.
pub(crate) const STAMP_SLACK: u64 = 30_000;

/// What has been read of the log so far.
pub(crate) struct ReadBack<'a> {
    log: &'a LogReader,
    /// All reads see the log as it was then.
    revision: u64,
    types: Vec<Backwards>,
    events: Vec<(u64, PositionedEvent)>,
}

/// A stretch of the log without holes.
pub(crate) struct Stretch {
    /// Every event after this position is in `events`; `None` if the whole log is.
    pub(crate) floor: Option<Position>,
    /// In commit order.
    pub(crate) events: Vec<PositionedEvent>,
}

impl<'a> ReadBack<'a> {
    pub(crate) fn new(log: &'a LogReader, revision: u64) -> Self {
        let types = EventType::ALL.into_iter().map(|kind| log.backwards(kind)).collect();
        Self { log, revision, types, events: Vec::new() }
    }

    /// Reads until `enough` says so of the stamp from which on and the floor above which the log
    /// is complete, and of the number of events there; or until the log ends.
    pub(crate) async fn until(
        mut self,
        enough: impl Fn(u64, Position, usize) -> bool,
    ) -> Result<Stretch, StoreError> {
        while let Some(youngest) = self.types.iter_mut().max_by_key(|kind| kind.read_down_to()) {
            let read_down_to = youngest.read_down_to();
            if read_down_to == 0 {
                break;
            }
            // Whatever is not read yet has an earlier stamp than this, and a position before
            // those of all events that are later by more than the slack.
            let complete_from = read_down_to.saturating_add(STAMP_SLACK);
            if let Some(floor) = floor(&self.events, complete_from) {
                let above = self.events.iter().filter(|(_, event)| event.position > floor).count();
                if enough(complete_from, floor, above) {
                    return Ok(Stretch { floor: Some(floor), events: sorted(self.events, floor) });
                }
            }
            self.events.extend(self.log.read(youngest, PAGE, Some(self.revision)).await?);
        }
        Ok(Stretch { floor: None, events: sorted(self.events, Position::START) })
    }
}

/// The position just before the first of the events stamped at or after `complete_from`.
fn floor(events: &[(u64, PositionedEvent)], complete_from: u64) -> Option<Position> {
    let complete = events.iter().filter(|(stamp, _)| *stamp >= complete_from);
    let first = complete.map(|(_, event)| event.position).min()?;
    Some(Position::new(first.revision, first.index.saturating_sub(1)))
}

fn sorted(events: Vec<(u64, PositionedEvent)>, floor: Position) -> Vec<PositionedEvent> {
    let mut events: Vec<_> =
        events.into_iter().map(|(_, event)| event).filter(|event| event.position > floor).collect();
    events.sort_unstable_by_key(|event| event.position);
    events
}
