//! The newest events of a log, gathered within bounded memory.

use std::collections::BTreeMap;

use game_realtime_domain::{Epoch, Position, Timestamp};

use crate::{PositionedEvent, Timeline, TimelineLimits, ports::History};

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
        self.bytes += Timeline::cost_of(&event);
        if let Some(same) = self.events.insert(event.position, event) {
            self.bytes -= Timeline::cost_of(&same);
        }
        while self.is_over_a_limit()
            && let Some((position, event)) = self.events.pop_first()
        {
            self.bytes -= Timeline::cost_of(&event);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use game_realtime_domain::{ConnectionId, Event, EventId, EventType, Namespace, Route, Sender};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::EncodedPayload;

    const NOW: u64 = 1_800_000_000_000;

    fn event(revision: u64, age: i64, size: usize) -> PositionedEvent {
        PositionedEvent {
            position: Position::new(revision, 1),
            event: Event {
                id: EventId(Uuid::nil()),
                namespace: Namespace::Private,
                sender: Sender { user_id: None, connection_id: ConnectionId(Uuid::nil()) },
                created_at: Timestamp::from_millis(NOW.saturating_add_signed(-age)),
                payload: EncodedPayload {
                    event_type: EventType::Broadcast,
                    json: "x".repeat(size).into(),
                },
            },
            route: Route::Namespace(Namespace::Private),
            trace: None,
        }
    }

    fn limits(age: u64, events: usize, bytes: usize) -> TimelineLimits {
        TimelineLimits { age: Duration::from_millis(age), events, bytes }
    }

    fn built(
        limits: TimelineLimits,
        events: impl IntoIterator<Item = PositionedEvent>,
        pruned: Position,
    ) -> History {
        let mut builder = HistoryBuilder::new(limits, Timestamp::from_millis(NOW));
        for event in events {
            builder.add(event);
            let most = Timeline::cost_of(&self::event(1, 0, 400));
            assert!(builder.bytes <= limits.bytes.max(most), "{} bytes", builder.bytes);
        }
        builder.build(Epoch::parse("e1").unwrap(), pruned)
    }

    fn revisions(history: &History) -> Vec<u64> {
        history.events.iter().map(|event| event.position.revision).collect()
    }

    #[test]
    fn without_an_event_that_was_let_go_the_history_begins_where_the_log_does() {
        let old = (1..=5).map(|revision| event(revision, 60_000, 10));
        let history = built(limits(1000, 100, usize::MAX), old, Position::START);
        assert_eq!(revisions(&history), [1, 2, 3, 4, 5]);
        assert_eq!(history.floor, Position::START, "a quiet time is no hole");
        assert_eq!(history.head, Position::new(5, 1));
    }

    #[test]
    fn the_floor_is_the_newest_event_that_is_not_kept() {
        let events = (1..=10).map(|revision| event(revision * 10, 60_000, 10));
        let history = built(limits(1000, 3, usize::MAX), events, Position::START);
        assert_eq!(revisions(&history), [80, 90, 100]);
        assert_eq!(history.floor, Position::new(70, 1));
    }

    #[test]
    fn what_may_have_been_pruned_is_not_part_of_the_history() {
        let events = (1..=4).map(|revision| event(revision, 0, 10));
        let history = built(limits(1000, 3, usize::MAX), events, Position::new(2, 1));
        assert_eq!(revisions(&history), [3, 4]);
        assert_eq!(history.floor, Position::new(2, 1));
        let history = built(limits(1000, 3, usize::MAX), [], Position::new(2, 1));
        assert_eq!((history.floor, history.head), (Position::new(2, 1), Position::new(2, 1)));
    }

    #[test]
    fn a_record_that_cannot_be_read_moves_the_head_alone() {
        let mut builder =
            HistoryBuilder::new(limits(1000, 3, usize::MAX), Timestamp::from_millis(NOW));
        builder.pass_over(Position::new(9, 1));
        builder.add(event(7, 0, 10));
        let history = builder.build(Epoch::parse("e1").unwrap(), Position::START);
        assert_eq!(revisions(&history), [7]);
        assert_eq!((history.floor, history.head), (Position::START, Position::new(9, 1)));
    }

    proptest! {
        /// Ages that grow towards the past, as they do where clocks agree.
        #[test]
        fn the_newest_within_the_bounds_are_kept_in_whatever_order_they_come(
            gaps in prop::collection::vec((0..200_u32, 0..400_usize), 0..60),
            shuffled in any::<u64>(),
            age in 1..3000_u64,
            events in 0..40_usize,
            bytes in 0..40_000_usize,
        ) {
            let limits = limits(age, events, bytes);
            let mut age = 0;
            let newest = u64::try_from(gaps.len()).unwrap();
            let all: Vec<_> = (0..).zip(gaps)
                .map(|(back, (gap, size))| {
                    age += i64::from(gap);
                    event(newest - back, age, size)
                })
                .collect();
            // What a timeline would keep of them, from the newest.
            let mut kept: Vec<_> = all.iter().rev().collect();
            let over = |kept: &[&PositionedEvent]| {
                let bytes: usize = kept.iter().map(|event| Timeline::cost_of(event)).sum();
                let created_at = kept[0].event.created_at;
                let old = created_at < Timestamp::from_millis(NOW).minus(limits.age);
                bytes > limits.bytes || (old && kept.len() > limits.events)
            };
            let mut floor = Position::START;
            while !kept.is_empty() && over(&kept) {
                floor = kept.remove(0).position;
            }
            let mut order = all.clone();
            order.sort_by_cached_key(|event| {
                (event.position.revision ^ shuffled).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            });
            let history = built(limits, order, Position::START);
            prop_assert_eq!(history.events.iter().collect::<Vec<_>>(), kept);
            prop_assert_eq!(history.floor, floor);
            prop_assert_eq!(history.head, all.first().map_or(Position::START, |it| it.position));
        }

        /// Stamps that say anything: fewer may be kept, but never with a hole.
        #[test]
        fn whatever_the_stamps_say_there_is_no_hole_after_the_floor(
            ages in prop::collection::vec(-5000..5000_i64, 0..60),
            shuffled in any::<u64>(),
            events in 0..40_usize,
            bytes in 0..40_000_usize,
        ) {
            let all: Vec<_> =
                (1..).zip(ages).map(|(revision, age)| event(revision, age, 10)).collect();
            let mut order = all.clone();
            order.sort_by_cached_key(|event| {
                (event.position.revision ^ shuffled).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            });
            let history = built(limits(1000, events, bytes), order, Position::START);
            let after: Vec<_> =
                all.iter().filter(|event| event.position > history.floor).cloned().collect();
            prop_assert_eq!(&history.events, &after);
            let cost: usize = after.iter().map(Timeline::cost_of).sum();
            prop_assert!(cost <= bytes);
            let least = events.min(all.len());
            prop_assert!(after.len() >= least || cost + Timeline::cost_of(&event(1, 0, 10)) > bytes);
        }
    }
}
