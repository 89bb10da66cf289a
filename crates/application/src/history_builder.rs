//! The newest events of a log, gathered within bounded memory.

use std::collections::BTreeMap;

use game_realtime_domain::{Epoch, Position, Timestamp};

use crate::{OutgoingEvent, PositionedEvent, TimelineLimits, ports::History};

/// Gathers events in any order and keeps the newest ones that [`TimelineLimits`] allow: at no time
/// more than one event over its bytes.
#[derive(Debug)]
pub struct HistoryBuilder {
    limits: TimelineLimits,
    oldest_kept: Timestamp,
    floor: Position,
    head: Position,
    events: BTreeMap<Position, PositionedEvent>,
    bytes: usize,
}

impl HistoryBuilder {
    /// Nothing gathered yet.
    #[must_use]
    pub fn new(limits: TimelineLimits, now: Timestamp) -> Self {
        Self {
            limits,
            oldest_kept: now.minus(limits.age),
            floor: Position::START,
            head: Position::START,
            events: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Adds an event, unless a newer one was already too old to keep.
    pub fn add(&mut self, event: PositionedEvent) {
        self.head = self.head.max(event.position);
        if event.position <= self.floor {
            return;
        }
        self.bytes += OutgoingEvent::cost_of(&event);
        if let Some(same) = self.events.insert(event.position, event) {
            self.bytes -= OutgoingEvent::cost_of(&same);
        }
        while self.is_over_a_limit()
            && let Some((position, event)) = self.events.pop_first()
        {
            self.bytes -= OutgoingEvent::cost_of(&event);
            self.floor = self.floor.max(position);
        }
    }

    /// Notes that an event stands at a position that cannot be read.
    pub fn pass_over(&mut self, position: Position) {
        self.head = self.head.max(position);
    }

    /// The newest event that was gathered and not kept; [`Position::START`] if all were.
    #[must_use]
    pub fn floor(&self) -> Position {
        self.floor
    }

    /// The history, if every event after [`floor`](Self::floor) was added, or every one after
    /// `pruned` that the log has.
    #[must_use]
    pub fn build(mut self, epoch: Epoch, pruned: Position) -> History {
        let floor = self.floor.max(pruned);
        // Of what may have been pruned some may still be there, but not all that belongs to it.
        let kept = self.events.split_off(&floor);
        let events: Vec<_> = kept.into_values().filter(|event| event.position > floor).collect();
        History { epoch, floor, events, head: self.head.max(floor) }
    }

    fn is_over_a_limit(&self) -> bool {
        let oldest = self.events.first_key_value();
        let is_old = oldest.is_some_and(|(_, event)| event.event.created_at < self.oldest_kept);
        self.bytes > self.limits.bytes || (is_old && self.events.len() > self.limits.events)
    }
}
