//! The recent stretch of the one order of events, in memory.

pub(crate) mod memory;
mod recipients;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use game_realtime_domain::{Connection, Cursor, Epoch, Position, Timestamp};

use crate::{
    delivery::{Lineage, OutgoingEvent},
    ports::History,
    record::PositionedEvent,
};
use recipients::{Recipients, Since};

/// How much a timeline keeps. Events leave from the old end once they are over the bytes, or once
/// they are both older than `age` and more than `events` back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineLimits {
    /// Younger events stay.
    pub age: Duration,
    /// At least this many events stay.
    pub events: usize,
    /// Never more memory than this, whatever the other two say: [`Timeline::bytes`].
    pub bytes: usize,
}

/// Every event after `floor` up to `head`, in order, without hole or repetition.
#[derive(Debug)]
pub struct Timeline {
    lineage: Arc<Lineage>,
    limits: TimelineLimits,
    floor: Position,
    head: Position,
    events: VecDeque<Held>,
    /// How many events it has let go of: the number of the oldest one that is held.
    gone: u64,
    recipients: Recipients,
    /// What its events cost, without packets.
    cost: usize,
}

/// An event, and from when its age counts: what a clock stamped with the future would never get old.
#[derive(Debug)]
struct Held {
    event: Arc<OutgoingEvent>,
    since: Timestamp,
}

impl Timeline {
    /// What its place among the others costs an event, in a buffer that doubles when it is full.
    const SLOT: usize = size_of::<Held>() * 3 / 2;

    /// Starts from what a store remembers.
    #[must_use]
    pub fn new(history: History, limits: TimelineLimits, now: Timestamp) -> Self {
        let mut timeline = Self {
            lineage: Arc::new(Lineage::new(history.epoch)),
            limits,
            floor: history.floor,
            head: history.floor,
            events: VecDeque::with_capacity(history.events.len()),
            gone: 0,
            recipients: Recipients::default(),
            cost: 0,
        };
        for event in history.events {
            timeline.append(event, now);
        }
        timeline.head = timeline.head.max(history.head);
        timeline.trim(now);
        timeline
    }

    /// Adds the next event. One at or before the head was seen already: it is dropped and `None`
    /// returned, so a feed that repeats itself does no harm.
    pub fn append(&mut self, event: PositionedEvent, now: Timestamp) -> Option<Arc<OutgoingEvent>> {
        if event.position <= self.head {
            return None;
        }
        self.head = event.position;
        let since = now.min(event.event.created_at);
        let event = Arc::new(OutgoingEvent::new(event, Arc::clone(&self.lineage)));
        self.cost += Self::cost_of(event.event());
        self.recipients.add(&event.event().route, self.gone + self.len_u64());
        self.events.push_back(Held { event: Arc::clone(&event), since });
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
            let spare = self.events.len() > self.limits.events && oldest.since < oldest_kept;
            if !spare && self.bytes() <= self.limits.bytes {
                break;
            }
            let Some(Held { event, .. }) = self.events.pop_front() else { break };
            self.gone += 1;
            self.floor = event.position();
            self.cost -= Self::cost_of(event.event());
            self.recipients.remove_oldest(&event.event().route);
            event.release();
        }
    }

    /// Whether nothing after `position` is missing here.
    #[must_use]
    pub fn reaches(&self, position: Position) -> bool {
        self.floor <= position
    }

    /// The events after `position` that are held.
    pub fn after(&self, position: Position) -> impl Iterator<Item = &Arc<OutgoingEvent>> {
        self.events.range(self.index_after(position)..).map(|held| &held.event)
    }

    /// Those of them that concern a connection. Costs what it returns, however many there are for
    /// others.
    #[must_use]
    pub fn missed(&self, connection: &Connection, position: Position) -> Missed<'_> {
        let index = u64::try_from(self.index_after(position)).unwrap_or(u64::MAX);
        let numbers = self.recipients.since(connection, self.gone.saturating_add(index));
        Missed { timeline: self, numbers }
    }

    fn index_after(&self, position: Position) -> usize {
        self.events.partition_point(|held| held.event.position() <= position)
    }

    fn len_u64(&self) -> u64 {
        u64::try_from(self.events.len()).unwrap_or(u64::MAX)
    }

    /// The cursor of `position` in this timeline's epoch.
    #[must_use]
    pub fn cursor(&self, position: Position) -> Cursor {
        Cursor { epoch: self.epoch().clone(), position }
    }

    /// The history that its positions belong to.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        self.lineage.epoch()
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

    /// The memory it takes, in bytes: its events with the packets made of them so far, and what finds
    /// them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.cost + self.recipients.bytes() + self.lineage.packet_bytes()
    }

    /// The memory that an event takes in a timeline, in bytes, without packets.
    #[must_use]
    pub fn cost_of(event: &PositionedEvent) -> usize {
        Self::SLOT + OutgoingEvent::cost_of(event) + Recipients::cost_of(&event.route)
    }
}

/// The events that concern a connection, in order.
pub struct Missed<'a> {
    timeline: &'a Timeline,
    numbers: Since<'a>,
}

impl Missed<'_> {
    /// How many there are, without a look at any.
    #[must_use]
    pub fn number(&self) -> usize {
        self.numbers.number()
    }
}

impl<'a> Iterator for Missed<'a> {
    type Item = &'a Arc<OutgoingEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.numbers.next()?.checked_sub(self.timeline.gone)?;
        self.timeline.events.get(usize::try_from(index).ok()?).map(|held| &held.event)
    }
}
