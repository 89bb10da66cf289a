//! What a timeline says it takes is what it takes: measured by an allocator that counts.

#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]

use std::{alloc::System, time::Duration};

use game_realtime_application::{
    EncodedPayload, OutgoingEvent, PacketFormat, PositionedEvent, Timeline, TimelineLimits,
    ports::History, wire::event_body,
};
use game_realtime_domain::{
    ConnectionId, Epoch, Event, EventId, EventType, Namespace, Position, Recipient, Route, Sender,
    Timestamp, UserId,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const LIMITS: TimelineLimits =
    TimelineLimits { age: Duration::from_secs(600), events: 0, bytes: usize::MAX };

fn in_use() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn user(number: u64) -> UserId {
    UserId::parse(format!("{}", Uuid::from_u128(u128::from(number)))).unwrap()
}

/// An event of some type, from one of `users` players, with a text of `size`.
fn event(number: u64, event_type: EventType, users: u64, size: usize) -> PositionedEvent {
    let sender = user(number % users);
    let target = user((number * 7 + 1) % users);
    let text = "x".repeat(size);
    let (json, route) = match event_type {
        EventType::Broadcast => {
            (format!(r#"{{"message":"{text}"}}"#), Route::Namespace(Namespace::Private))
        }
        EventType::SendMessage => (
            format!(r#"{{"target_user_id":"{target}","text":"{text}"}}"#),
            Route::both(Recipient::User(target), Recipient::User(sender.clone())),
        ),
        EventType::BuyGood => (
            format!(r#"{{"good_id":"{text}","count":1}}"#),
            Route::One(Recipient::User(sender.clone())),
        ),
    };
    PositionedEvent {
        position: Position::new(number + 1, 1),
        event: Event {
            id: EventId(Uuid::from_u128(u128::from(number))),
            namespace: Namespace::Private,
            sender: Sender {
                user_id: Some(sender),
                connection_id: ConnectionId(Uuid::from_u128(u128::from(number))),
            },
            created_at: NOW,
            payload: EncodedPayload { event_type, json: json.into() },
        },
        route,
        trace: None,
    }
}

/// As a transport does for a client on a WebSocket.
fn deliver(event: &OutgoingEvent) {
    event.packet(PacketFormat(0), |event| {
        let body = event_body(&event.event().event, &event.cursor());
        let name = event.event().event.payload.event_type.as_str();
        let frame = format!("42[\"{name}\",{body}]").into_bytes().into_boxed_slice();
        let held = frame.len();
        (frame, held)
    });
}

#[test]
fn a_timeline_takes_what_it_says_within_a_fifth() {
    let epoch = Epoch::parse("18a9f3c2d4e5f607").unwrap();
    let mut complaints = Vec::new();
    for (size, count) in [(80, 30_000), (1024, 10_000), (16 * 1024, 1500)] {
        for event_type in EventType::ALL {
            for users in [20, 1_000_000] {
                for delivered in [false, true] {
                    let before = in_use();
                    let events = (0..count).map(|number| event(number, event_type, users, size));
                    let history = |events: Vec<_>| History {
                        epoch: epoch.clone(),
                        floor: Position::START,
                        events,
                        head: Position::START,
                    };
                    let mut timeline = if delivered {
                        let mut timeline = Timeline::new(history(Vec::new()), LIMITS, NOW);
                        for event in events {
                            deliver(&timeline.append(event, NOW).unwrap());
                        }
                        timeline
                    } else {
                        Timeline::new(history(events.collect()), LIMITS, NOW)
                    };
                    let (takes, says) = (in_use() - before, timeline.bytes());
                    let ratio = says as f64 / takes as f64;
                    let line = format!(
                        "{event_type}, {size} B, {users} users, delivered {delivered}: \
                         {} B each, says {}: {ratio:.2}",
                        takes / timeline.len(),
                        says / timeline.len(),
                    );
                    eprintln!("{line}");
                    if !(0.83..=1.2).contains(&ratio) {
                        complaints.push(line);
                    }
                    timeline.trim(Timestamp::from_millis(NOW.as_millis() + 600_001));
                    assert_eq!((timeline.len(), timeline.bytes()), (0, 0));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}
