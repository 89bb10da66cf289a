//! The timeline against a model that forgets nothing: whatever is appended, repeated, trimmed and
//! skipped, it has every event after each position that it says it reaches.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use game_realtime_application::{
    EncodedPayload, PacketFormat, PositionedEvent, Timeline, TimelineLimits, ports::History,
};
use game_realtime_domain::{
    Connection, ConnectionId, Epoch, Event, EventId, EventType, Namespace, NodeId, Position,
    Recipient, Route, Sender, Timestamp, UserId,
};
use proptest::{prelude::*, sample::Index};
use uuid::Uuid;

const NOON: u64 = 1_800_000_000_000;

fn epoch() -> Epoch {
    Epoch::parse("e1").unwrap()
}

/// Some routes, by number: events for everybody, for one, for two.
fn route(number: u64) -> Route {
    let user = |number: u64| Recipient::User(UserId::parse(format!("user-{number}")).unwrap());
    let connection = |number: u64| Recipient::Connection(connection(number).id);
    match number % 8 {
        0 => Route::Namespace(Namespace::Private),
        1 => Route::Namespace(Namespace::Guest),
        2 | 3 => Route::One(user(number / 8 % 3)),
        4 => Route::One(connection(number / 8 % 6)),
        5 => Route::both(user(number / 8 % 3), user(number / 24 % 3)),
        6 => Route::both(user(number / 8 % 3), connection(number / 24 % 6)),
        _ => Route::both(connection(number / 8 % 6), connection(number / 48 % 6)),
    }
}

/// Players have two connections each, every third connection is a guest's.
fn connection(number: u64) -> Connection {
    let user_id = (number % 3 < 2).then(|| UserId::parse(format!("user-{}", number % 2)).unwrap());
    Connection {
        id: ConnectionId(Uuid::from_u128(u128::from(number))),
        namespace: if user_id.is_some() { Namespace::Private } else { Namespace::Guest },
        user_id,
        node_id: NodeId(Uuid::nil()),
        connected_at: Timestamp::from_millis(NOON),
    }
}

fn event(position: Position, created_at: u64, size: usize, to: u64) -> PositionedEvent {
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
        route: route(to),
        trace: None,
    }
}

/// One thing that can happen to a timeline.
#[derive(Debug, Clone)]
enum Step {
    /// So many events are committed together, so many revisions after the last ones.
    Commit { revisions: u64, to: Vec<u64>, size: usize },
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
        6 => (1..4_u64, prop::collection::vec(any::<u64>(), 1..6), 0..2000_usize)
            .prop_map(|(revisions, to, size)| Step::Commit { revisions, to, size }),
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
    let cost: usize = held.iter().map(|event| Timeline::cost_of(event.event())).sum();
    prop_assert!(timeline.bytes() >= cost);
    prop_assert!(
        !held.is_empty() || timeline.bytes() == 0,
        "{} bytes of nothing",
        timeline.bytes()
    );
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
    for (number, position) in (0..).zip(around.chain([Position::START, head])) {
        if !timeline.reaches(position) {
            continue;
        }
        let after: Vec<_> = timeline.after(position).map(|event| event.event()).collect();
        let owed: Vec<_> = all.iter().filter(|event| event.position > position).collect();
        prop_assert_eq!(after, owed, "after {}", position);
        // What concerns a connection is found as by a look at everything.
        for connection in [number, number + 3].map(|number| connection(number % 6)) {
            let missed: Vec<_> =
                timeline.missed(&connection, position).map(|e| e.position()).collect();
            let scanned = timeline.after(position).map(|event| event.event());
            let scanned: Vec<_> = scanned
                .filter(|event| event.route.concerns(&connection))
                .map(|event| event.position)
                .collect();
            prop_assert_eq!(&missed, &scanned, "after {}", position);
            prop_assert_eq!(timeline.missed(&connection, position).number(), scanned.len());
        }
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
            all.extend((1..=events).map(|index| event(Position::new(revision, index), now, 10, revision)));
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
                Step::Commit { revisions, to, size } => {
                    revision += revisions;
                    for (index, to) in (1..).zip(to) {
                        let event = event(Position::new(revision, index), now, size, to);
                        head = event.position;
                        prop_assert!(timeline.append(event.clone(), Timestamp::from_millis(now)).is_some());
                        all.push(event);
                    }
                    heads.push(head);
                }
                Step::Repeat(from) => {
                    for event in all.iter().skip(from.index(all.len() + 1)) {
                        prop_assert!(timeline.append(event.clone(), Timestamp::from_millis(now)).is_none());
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

#[test]
fn a_stamp_from_the_future_keeps_nothing_longer_than_its_time() {
    let limits = TimelineLimits { age: Duration::from_secs(60), events: 0, bytes: usize::MAX };
    let far = NOON + 100 * 365 * 86_400_000;
    let restored = event(Position::new(1, 1), far, 10, 0);
    let history = History {
        epoch: epoch(),
        floor: Position::START,
        events: vec![restored],
        head: Position::new(1, 1),
    };
    let mut timeline = Timeline::new(history, limits, Timestamp::from_millis(NOON));
    timeline.append(event(Position::new(2, 1), far, 10, 0), Timestamp::from_millis(NOON));
    timeline.append(event(Position::new(3, 1), NOON, 10, 0), Timestamp::from_millis(NOON));
    timeline.trim(Timestamp::from_millis(NOON + 60_000));
    assert_eq!(timeline.len(), 3);
    timeline.trim(Timestamp::from_millis(NOON + 60_001));
    assert_eq!(timeline.len(), 0);
}

#[test]
fn a_packet_is_made_once_and_counts_as_long_as_its_event_is_held() {
    let limits = TimelineLimits { age: Duration::from_secs(60), events: 0, bytes: usize::MAX };
    let history =
        History { epoch: epoch(), floor: Position::START, events: vec![], head: Position::START };
    let now = Timestamp::from_millis(NOON);
    let mut timeline = Timeline::new(history, limits, now);
    let event = timeline.append(event(Position::new(1, 1), NOON, 10, 0), now).unwrap();
    let without = timeline.bytes();
    let text = |text: &'static str| move |_: &_| (text.to_owned(), 1000);
    assert_eq!(event.packet(PacketFormat(0), text("a")).map(String::as_str), Some("a"));
    assert_eq!(event.packet(PacketFormat(9), text("b")).map(String::as_str), Some("b"));
    assert_eq!(event.packet(PacketFormat(0), text("c")).map(String::as_str), Some("a"));
    assert_eq!(event.packet(PacketFormat(0), |_| (1_u8, 0)), None, "another type");
    assert!((without + 2000..without + 2300).contains(&timeline.bytes()), "{}", timeline.bytes());
    timeline.trim(Timestamp::from_millis(NOON + 60_001));
    assert_eq!(timeline.bytes(), 0);
    event.packet(PacketFormat(1), text("d"));
    assert_eq!(timeline.bytes(), 0, "it is no longer the timeline's");
}
