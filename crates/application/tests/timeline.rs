//! The timeline against a model that forgets nothing: whatever is appended, repeated, trimmed and
//! skipped, it has every event after each position that it says it reaches.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use game_realtime_application::{
    EncodedPayload, OutgoingEvent, PositionedEvent, Timeline, TimelineLimits, ports::History,
};
use game_realtime_domain::{
    ConnectionId, Epoch, Event, EventId, EventType, Namespace, Position, Route, Sender, Timestamp,
};
use proptest::{prelude::*, sample::Index};
use uuid::Uuid;

const NOON: u64 = 1_800_000_000_000;

fn epoch() -> Epoch {
    Epoch::parse("e1").unwrap()
}

fn event(position: Position, created_at: u64, size: usize) -> PositionedEvent {
    PositionedEvent {
        position,
        event: Event {
            id: EventId(Uuid::nil()),
            namespace: Namespace::Private,
            sender: Sender { user_id: None, connection_id: ConnectionId(Uuid::nil()) },
            created_at: Timestamp::from_millis(created_at),
            payload: EncodedPayload {
                event_type: EventType::Broadcast,
                json: "x".repeat(size).into(),
            },
        },
        route: Route::Namespace(Namespace::Private),
        trace: None,
    }
}

/// One thing that can happen to a timeline.
#[derive(Debug, Clone)]
enum Step {
    /// So many events are committed together, so many revisions after the last ones.
    Commit { revisions: u64, events: u32, size: usize },
    /// The feed repeats what it told from there on.
    Repeat(Index),
    /// Nothing happened in so many revisions.
    Silence { revisions: u64 },
    /// The head of an update that came late.
    OldHead(Index),
    /// The clock moves, also backwards, and old events go.
    Trim { forward: i32 },
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..4_u64, 1..6_u32, 0..2000_usize)
            .prop_map(|(revisions, events, size)| Step::Commit { revisions, events, size }),
        2 => any::<Index>().prop_map(Step::Repeat),
        1 => (1..4_u64).prop_map(|revisions| Step::Silence { revisions }),
        1 => any::<Index>().prop_map(Step::OldHead),
        3 => (-2000..4000_i32).prop_map(|forward| Step::Trim { forward }),
    ]
}

/// Checks what holds at any time. `all` are the events ever given, `head` the furthest position.
fn check(
    timeline: &Timeline,
    all: &[PositionedEvent],
    head: Position,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(timeline.head(), head);
    let held: Vec<_> = timeline.after(Position::START).collect();
    prop_assert_eq!(timeline.len(), held.len());
    prop_assert_eq!(timeline.is_empty(), held.is_empty());
    prop_assert_eq!(timeline.bytes(), held.iter().map(|event| event.cost()).sum::<usize>());
    // Every event's position, those just before and after it, and the ends.
    let around = all.iter().flat_map(|event| {
        let Position { revision, index } = event.position;
        [
            event.position,
            Position::new(revision, index - 1),
            Position::new(revision, index + 1),
            Position::new(revision, 0),
            Position::after_revision(revision),
        ]
    });
    for position in around.chain([Position::START, head]) {
        if !timeline.reaches(position) {
            continue;
        }
        let after: Vec<_> = timeline.after(position).map(|event| event.event()).collect();
        let owed: Vec<_> = all.iter().filter(|event| event.position > position).collect();
        prop_assert_eq!(after, owed, "after {}", position);
    }
    prop_assert!(timeline.reaches(head), "nothing is missing after the head");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_timeline_has_everything_after_each_position_that_it_reaches(
        before in prop::collection::vec((1..3_u64, 1..4_u32), 0..10),
        skipped in any::<Index>(),
        age in 1..3000_u64,
        events in 0..30_usize,
        bytes in 0..60_000_usize,
        steps in prop::collection::vec(steps(), 1..60),
    ) {
        let mut now = NOON;
        let mut revision = 0;
        let mut all = Vec::new();
        for (revisions, events) in before {
            revision += revisions;
            all.extend((1..=events).map(|index| event(Position::new(revision, index), now, 10)));
        }
        // A history begins anywhere, also in the middle of what was committed together.
        let known = all.split_off(skipped.index(all.len() + 1));
        let floor = all.last().map_or(Position::START, |event| event.position);
        let mut all = known;
        let mut head = Position::after_revision(revision);
        let history = History { epoch: epoch(), floor, events: all.clone(), head };
        let limits = TimelineLimits { age: Duration::from_millis(age), events, bytes };
        let mut timeline = Timeline::new(history, limits, Timestamp::from_millis(now));
        prop_assert!(
            floor == Position::START || !timeline.reaches(Position::new(floor.revision, floor.index - 1)),
            "what came before the history is not there"
        );
        check(&timeline, &all, head)?;
        let mut heads = vec![head];
        for step in steps {
            match step {
                Step::Commit { revisions, events, size } => {
                    revision += revisions;
                    for index in 1..=events {
                        let event = event(Position::new(revision, index), now, size);
                        head = event.position;
                        prop_assert!(timeline.append(OutgoingEvent::new(event.clone(), &epoch())).is_some());
                        all.push(event);
                    }
                    heads.push(head);
                }
                Step::Repeat(from) => {
                    for event in all.iter().skip(from.index(all.len() + 1)) {
                        prop_assert!(timeline.append(OutgoingEvent::new(event.clone(), &epoch())).is_none());
                    }
                }
                Step::Silence { revisions } => {
                    revision += revisions;
                    head = Position::after_revision(revision);
                    timeline.advance_to(head);
                    revision += 1;
                    heads.push(head);
                }
                Step::OldHead(which) => timeline.advance_to(*which.get(&heads)),
                Step::Trim { forward } => {
                    now = now.saturating_add_signed(forward.into());
                    timeline.trim(Timestamp::from_millis(now));
                    prop_assert!(timeline.bytes() <= bytes);
                }
            }
            check(&timeline, &all, head)?;
        }
    }
}
