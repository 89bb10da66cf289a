//! The recent stretch of the one order of events, in memory.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use game_realtime_domain::{Cursor, Epoch, Position, Timestamp};

use crate::{delivery::OutgoingEvent, ports::History};

/// How much a timeline keeps. Events leave from the old end once they are over the bytes, or once
/// they are both older than `age` and more than `events` back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineLimits {
    /// Younger events stay.
    pub age: Duration,
    /// At least so many events stay.
    pub events: usize,
    /// Never more than this, whatever the other two say: [`OutgoingEvent::cost`] summed up.
    pub bytes: usize,
}

/// Every event after `floor` up to `head`, in order, without hole or repetition.
#[derive(Debug)]
pub struct Timeline {
    epoch: Epoch,
    limits: TimelineLimits,
    floor: Position,
    head: Position,
    events: VecDeque<Arc<OutgoingEvent>>,
    bytes: usize,
}

impl Timeline {
    /// Starts from what a store remembers.
    #[must_use]
    pub fn new(history: History, limits: TimelineLimits, now: Timestamp) -> Self {
        let mut timeline = Self {
            epoch: history.epoch,
            limits,
            floor: history.floor,
            head: history.floor,
            events: VecDeque::with_capacity(history.events.len()),
            bytes: 0,
        };
        for event in history.events {
            timeline.append(OutgoingEvent::new(event, &timeline.epoch));
        }
        timeline.head = timeline.head.max(history.head);
        timeline.trim(now);
        timeline
    }

    /// Adds the next event. One at or before the head was seen already: it is dropped and `None`
    /// returned, so a feed that repeats itself does no harm.
    pub fn append(&mut self, event: OutgoingEvent) -> Option<Arc<OutgoingEvent>> {
        if event.position() <= self.head {
            return None;
        }
        self.head = event.position();
        self.bytes += event.cost();
        let event = Arc::new(event);
        self.events.push_back(Arc::clone(&event));
        Some(event)
    }

    /// Notes that nothing more happened up to `head`.
    pub fn advance_to(&mut self, head: Position) {
        self.head = self.head.max(head);
    }

    /// Lets go of events over the limits.
    pub fn trim(&mut self, now: Timestamp) {
        let oldest_kept = now.minus(self.limits.age);
        while let Some(oldest) = self.events.front() {
            let spare = self.events.len() > self.limits.events
                && oldest.event().event.created_at < oldest_kept;
            if !spare && self.bytes <= self.limits.bytes {
                break;
            }
            self.floor = oldest.position();
            self.bytes -= oldest.cost();
            self.events.pop_front();
        }
    }

    /// Whether nothing after `position` is missing here.
    #[must_use]
    pub fn reaches(&self, position: Position) -> bool {
        self.floor <= position
    }

    /// The events after `position` that are held.
    pub fn after(&self, position: Position) -> impl Iterator<Item = &Arc<OutgoingEvent>> {
        let start = self.events.partition_point(|event| event.position() <= position);
        self.events.range(start..)
    }

    /// The cursor of `position` in this timeline's epoch.
    #[must_use]
    pub fn cursor(&self, position: Position) -> Cursor {
        Cursor { epoch: self.epoch.clone(), position }
    }

    /// The history that its positions belong to.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Everything up to here has been seen.
    #[must_use]
    pub fn head(&self) -> Position {
        self.head
    }

    /// The number of events held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether no event is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The memory it accounts for, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
