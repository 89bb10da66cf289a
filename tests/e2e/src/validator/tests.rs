//! Each check, caught on a breach that was put there.

use serde_json::{Value, json};

use super::{
    Acked, Check, ConnectionLog, Cursor, Delivery, Report, Sender, validate, validate_against_store,
};
use crate::{Namespace, Received, event};

/// Alice on two connections, Bob, two guests, and one event of each kind.
struct World {
    logs: Vec<ConnectionLog>,
    acked: Vec<Acked>,
}

const ALICE: usize = 0;
const ALICE_AGAIN: usize = 1;
const BOB: usize = 2;
const GUEST: usize = 3;
const OTHER_GUEST: usize = 4;

fn cursor(revision: u64, index: u32) -> Cursor {
    Cursor { epoch: "epoch".to_owned(), position: (revision, index) }
}

fn log(name: &str, user: Option<&str>) -> ConnectionLog {
    ConnectionLog {
        name: name.to_owned(),
        client: name.to_owned(),
        namespace: if user.is_some() { Namespace::Private } else { Namespace::Guest },
        user_id: user.map(str::to_owned),
        connection_id: format!("connection of {name}"),
        recovery: "fresh".to_owned(),
        joined: cursor(10, 0),
        stayed: true,
        deliveries: Vec::new(),
        malformed: Vec::new(),
    }
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            logs: vec![
                log("alice", Some("alice")),
                log("alice again", Some("alice")),
                log("bob", Some("bob")),
                log("guest", None),
                log("other guest", None),
            ],
            acked: Vec::new(),
        };
        let (alice, everybody) = ([ALICE, ALICE_AGAIN], [ALICE, ALICE_AGAIN, BOB]);
        let to_bob = json!({"target_user_id": "bob", "text": "t"});
        world.happens(cursor(11, 1), event::BROADCAST, ALICE, &json!({"message": "m"}), &everybody);
        world.happens(cursor(11, 2), event::SEND_MESSAGE, ALICE, &to_bob, &everybody);
        let purchase = json!({"good_id": "g", "count": 1});
        world.happens(cursor(12, 1), event::BUY_GOOD, ALICE, &purchase, &alice);
        let greeting = json!({"message": "from a guest"});
        world.happens(cursor(13, 1), event::BROADCAST, GUEST, &greeting, &[GUEST, OTHER_GUEST]);
        world.happens(cursor(14, 1), event::SEND_MESSAGE, GUEST, &to_bob, &[GUEST, BOB]);
        world.happens(cursor(15, 1), event::BROADCAST, BOB, &json!({"message": "b"}), &everybody);
        world
    }

    fn happens(
        &mut self,
        cursor: Cursor,
        kind: &str,
        sender: usize,
        payload: &Value,
        to: &[usize],
    ) {
        let from = &self.logs[sender];
        let delivery = Delivery {
            id: format!("id of {cursor}"),
            cursor,
            event_type: kind.to_owned(),
            created_at: "2026-01-01T00:00:00Z".to_owned(),
            sender: Sender {
                user_id: from.user_id.clone(),
                connection_id: from.connection_id.clone(),
            },
            payload: payload.as_object().cloned().unwrap(),
        };
        for recipient in to {
            self.logs[*recipient].deliveries.push(delivery.clone());
        }
        self.acked.push(Acked { event: delivery, duplicate: false });
    }

    fn report(&self) -> Report {
        validate(&self.logs, &self.acked, &[])
    }

    /// The checks that fail, each once.
    fn failing(&self) -> Vec<Check> {
        let mut checks: Vec<Check> = Vec::new();
        for violation in self.report().violations {
            if !checks.contains(&violation.check) {
                checks.push(violation.check);
            }
        }
        checks
    }
}

#[test]
fn a_correct_run_is_clean() {
    let report = World::new().report();
    report.assert_clean();
    assert_eq!((report.connections, report.acked, report.events, report.deliveries), (5, 6, 6, 15));
}

#[test]
fn two_events_in_the_wrong_order_are_found() {
    let mut world = World::new();
    world.logs[BOB].deliveries.swap(0, 1);
    assert_eq!(world.failing(), [Check::Ordered]);
}

#[test]
fn an_event_from_before_the_connection_joined_is_found() {
    let mut world = World::new();
    world.logs[BOB].joined = cursor(11, 1);
    assert_eq!(world.failing(), [Check::Ordered]);
}

#[test]
fn a_repeated_event_is_found() {
    let mut world = World::new();
    let again = world.logs[ALICE].deliveries[0].clone();
    world.logs[ALICE].deliveries.push(again);
    assert_eq!(world.failing(), [Check::Unique]);
}

#[test]
fn a_hole_in_the_middle_is_found() {
    let mut world = World::new();
    world.logs[BOB].stayed = false;
    world.logs[BOB].deliveries.remove(1);
    assert_eq!(world.failing(), [Check::Reliable]);
}

#[test]
fn a_missing_end_is_found_only_at_who_stayed() {
    let mut world = World::new();
    world.logs[ALICE].deliveries.pop();
    assert_eq!(world.failing(), [Check::Reliable]);
    world.logs[ALICE].stayed = false;
    assert_eq!(world.failing(), []);
}

#[test]
fn an_event_that_only_the_store_knows_is_missed() {
    let mut world = World::new();
    let committed: Vec<_> = world.acked.drain(..).map(|ack| ack.event).collect();
    for log in &mut world.logs {
        log.deliveries.retain(|delivery| delivery.event_type != event::BUY_GOOD);
    }
    assert_eq!(world.failing(), []);
    let report = validate(&world.logs, &world.acked, &committed);
    assert_eq!(report.violations.len(), 2, "both of Alice's connections: {report}");
    assert_eq!(report.violations[0].check, Check::Reliable);
}

#[test]
fn an_event_that_is_not_in_the_store_is_found() {
    let world = World::new();
    let mut stored: Vec<_> = world.acked.iter().map(|ack| ack.event.clone()).collect();
    validate_against_store(&world.logs, &world.acked, &stored).assert_clean();
    stored.remove(2);
    let report = validate_against_store(&world.logs, &world.acked, &stored);
    assert_eq!(report.count(Check::Stored), 3, "acknowledged, and at both of Alice's: {report}");
    let report = validate_against_store(&world.logs, &[], &stored);
    assert_eq!(report.count(Check::Stored), 2, "delivered to both of Alice's: {report}");
}

/// Cuts Bob off after his first event, so that he has a second connection.
fn cut_bob_off(world: &mut World) {
    let bob = &mut world.logs[BOB];
    let mut back = bob.clone();
    back.deliveries = bob.deliveries.split_off(1);
    bob.stayed = false;
    back.connection_id = "another connection of bob".to_owned();
    back.recovery = "recovered".to_owned();
    back.joined = bob.left().clone();
    world.logs.insert(BOB + 1, back);
}

#[test]
fn a_client_that_comes_back_must_go_on_where_it_was_cut_off() {
    let mut world = World::new();
    cut_bob_off(&mut world);
    assert_eq!(world.report().resumes, 1);
    assert!(!world.failing().contains(&Check::Resumable), "{}", world.report());

    let mut world = World::new();
    cut_bob_off(&mut world);
    world.logs[BOB + 1].recovery = "gap".to_owned();
    assert!(world.failing().contains(&Check::Resumable));

    let mut world = World::new();
    cut_bob_off(&mut world);
    world.logs[BOB + 1].deliveries.remove(0);
    world.logs[BOB + 1].joined = cursor(11, 2);
    assert!(world.failing().contains(&Check::Resumable));
}

#[test]
fn an_acknowledged_event_that_its_sender_misses_is_found() {
    let mut world = World::new();
    world.logs[BOB].deliveries.pop();
    assert_eq!(world.failing(), [Check::AckedDelivered]);
}

#[test]
fn an_event_for_somebody_else_is_found() {
    for (kind, stranger) in [
        (event::BROADCAST, GUEST),
        (event::SEND_MESSAGE, OTHER_GUEST),
        (event::BUY_GOOD, BOB),
        (event::BUY_GOOD, GUEST),
    ] {
        let mut world = World::new();
        let alices = world.logs[ALICE].deliveries.iter();
        let event = alices.clone().find(|delivery| delivery.event_type == kind).cloned().unwrap();
        let deliveries = &mut world.logs[stranger].deliveries;
        let place =
            deliveries.partition_point(|other| other.cursor.position < event.cursor.position);
        deliveries.insert(place, event);
        assert_eq!(world.failing(), [Check::AddressedOnly], "{kind} at {stranger}");
    }
}

#[test]
fn an_event_that_differs_between_connections_is_found() {
    let changes: [fn(&mut Delivery); 3] = [
        |delivery| delivery.cursor.position.1 = 7,
        |delivery| delivery.payload["message"] = json!("other"),
        |delivery| delivery.created_at = "2026-01-01T00:00:01Z".to_owned(),
    ];
    for change in changes {
        let mut world = World::new();
        change(world.logs[ALICE_AGAIN].deliveries.last_mut().unwrap());
        assert_eq!(world.failing(), [Check::Consistent]);
    }
}

#[test]
fn two_events_at_one_position_are_found() {
    let mut world = World::new();
    let bobs = world.logs[BOB].deliveries.last_mut().unwrap();
    bobs.id = "another".to_owned();
    assert!(world.failing().contains(&Check::Consistent));
}

#[test]
fn an_event_of_another_epoch_is_found() {
    let mut world = World::new();
    world.logs[OTHER_GUEST].deliveries[0].cursor.epoch = "other".to_owned();
    assert!(world.failing().contains(&Check::Consistent));
}

#[test]
fn an_acknowledgement_with_another_cursor_is_found() {
    let mut world = World::new();
    world.acked.last_mut().unwrap().event.cursor = cursor(16, 1);
    assert_eq!(world.failing(), [Check::AckConsistent]);
}

#[test]
fn events_committed_in_another_order_than_sent_are_found() {
    let mut world = World::new();
    world.acked.swap(0, 2);
    assert_eq!(world.failing(), [Check::SentOrder]);
    world.acked.iter_mut().for_each(|ack| ack.duplicate = true);
    assert_eq!(world.failing(), [], "a repeat tells of the first");
}

#[test]
fn what_is_malformed_is_found() {
    let mut world = World::new();
    let received =
        Received { name: event::BROADCAST.to_owned(), args: vec![json!({"message": "m"})] };
    world.logs[BOB].malformed.push(Delivery::parse(&received).unwrap_err());
    assert_eq!(world.failing(), [Check::WellFormed]);
}

#[test]
fn a_delivery_is_taken_apart() {
    let payload = json!({
        "message": "m", "id": "i", "cursor": "e:1.2", "created_at": "now",
        "sender": {"user_id": null, "connection_id": "c"},
    });
    let received = Received { name: event::BROADCAST.to_owned(), args: vec![payload] };
    let delivery = Delivery::parse(&received).unwrap();
    assert_eq!(delivery.cursor.position, (1, 2));
    assert_eq!(delivery.sender, Sender { user_id: None, connection_id: "c".to_owned() });
    assert_eq!(Value::Object(delivery.payload), json!({"message": "m"}));
}
