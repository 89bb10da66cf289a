//! A checker has to be checked: every breach is found, and nothing else.

use super::*;

const SECOND: Micros = 1_000_000;

fn at(revision: u64) -> Position {
    Position::of(format!("epoch:{revision}.0").as_bytes()).unwrap()
}

/// Three members; 0 sends. Everybody is connected from revision 10 on.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(3);
    (0..3).for_each(|member| ledger.begin(member, at(10)));
    ledger
}

fn send(ledger: &mut Ledger, kind: Kind) -> Stamp {
    let stamp = Stamp { run: 0, event: ledger.issue(0), due: 0 };
    ledger.send(Content { kind, stamp, has_request_id: true }, 0);
    stamp
}

/// A message from 0 to 1, answered with this revision.
fn commit(ledger: &mut Ledger, revision: u64) -> Stamp {
    let stamp = send(ledger, Kind::Message(1));
    assert!(ledger.commit(0, stamp.event, (at(revision), false), false));
    stamp
}

#[track_caller]
fn assert_only(mut ledger: Ledger, breach: Breach, count: u64) {
    ledger.sweep(SECOND);
    ledger.close();
    assert_eq!(ledger.breaches.count(breach), count, "{}", ledger.breaches);
    assert_eq!(ledger.breaches.others(&[breach]), 0, "{}", ledger.breaches);
}

#[test]
fn what_everybody_has_is_forgotten() {
    let mut ledger = ledger();
    for revision in 11..100 {
        let stamp = commit(&mut ledger, revision);
        ledger.deliver(0, &stamp, at(revision));
        ledger.deliver(1, &stamp, at(revision));
        assert_eq!(ledger.pending.len(), 0);
    }
    assert_only(ledger, Breach::Lost, 0);
}

#[test]
fn a_receiver_that_is_past_an_event_has_lost_it() {
    let mut ledger = ledger();
    let first = commit(&mut ledger, 11);
    let second = commit(&mut ledger, 12);
    ledger.deliver(0, &first, at(11));
    ledger.deliver(0, &second, at(12));
    ledger.deliver(1, &second, at(12));
    ledger.sweep(SECOND);
    assert_eq!(ledger.breaches.count(Breach::Lost), 1);
    assert_only(ledger, Breach::Lost, 1);
}

#[test]
fn an_event_that_has_not_arrived_by_the_end_is_lost() {
    let mut ledger = ledger();
    let stamp = send(&mut ledger, Kind::Broadcast);
    ledger.commit(0, stamp.event, (at(11), false), false);
    ledger.deliver(2, &stamp, at(11));
    assert_only(ledger, Breach::Lost, 2);
}

#[test]
fn an_event_arrives_once() {
    let mut ledger = ledger();
    let stamp = commit(&mut ledger, 11);
    ledger.deliver(1, &stamp, at(11));
    ledger.deliver(1, &stamp, at(11));
    ledger.deliver(0, &stamp, at(11));
    // It is forgotten by now.
    ledger.deliver(0, &stamp, at(11));
    assert_only(ledger, Breach::Twice, 2);
}

#[test]
fn a_repeat_that_is_committed_again_is_twice() {
    let mut ledger = ledger();
    let stamp = send(&mut ledger, Kind::Purchase);
    assert!(ledger.commit(0, stamp.event, (at(11), false), true));
    ledger.deliver(0, &stamp, at(11));
    assert!(!ledger.commit(0, stamp.event, (at(11), true), false));
    assert_eq!(ledger.pending.len(), 0);

    let stamp = send(&mut ledger, Kind::Purchase);
    ledger.commit(0, stamp.event, (at(12), false), true);
    ledger.deliver(0, &stamp, at(12));
    ledger.commit(0, stamp.event, (at(12), false), false);
    assert_only(ledger, Breach::Twice, 1);
}

#[test]
fn cursors_only_grow() {
    let mut ledger = ledger();
    let first = commit(&mut ledger, 11);
    let second = commit(&mut ledger, 12);
    for stamp in [&first, &second] {
        ledger.deliver(0, stamp, at(11 + u64::from(stamp.event)));
    }
    ledger.deliver(1, &second, at(12));
    ledger.deliver(1, &first, at(11));
    // After a later cursor, and after a later event of the same sender.
    assert_only(ledger, Breach::OutOfOrder, 2);
}

#[test]
fn events_of_a_sender_arrive_in_the_order_sent_unless_their_connection_was_lost() {
    for (is_late, breaches) in [(false, 2), (true, 0)] {
        let mut ledger = ledger();
        let (first, second) =
            (send(&mut ledger, Kind::Message(1)), send(&mut ledger, Kind::Message(1)));
        if is_late {
            ledger.miss_answer(0, first.event, true);
        }
        for (stamp, revision) in [(&second, 11), (&first, 12)] {
            ledger.commit(0, stamp.event, (at(revision), false), false);
            ledger.deliver(0, stamp, at(revision));
            ledger.deliver(1, stamp, at(revision));
        }
        assert_only(ledger, Breach::OutOfOrder, breaches);
    }
}

#[test]
fn everybody_sees_an_event_under_one_cursor() {
    let mut ledger = ledger();
    let stamp = commit(&mut ledger, 11);
    ledger.deliver(0, &stamp, at(11));
    ledger.deliver(1, &stamp, at(12));
    assert_only(ledger, Breach::Inconsistent, 1);
}

#[test]
fn nobody_else_receives_it() {
    let mut ledger = ledger();
    let stamp = commit(&mut ledger, 11);
    ledger.deliver(0, &stamp, at(11));
    ledger.deliver(1, &stamp, at(11));
    ledger.deliver(2, &Stamp { run: 0, event: 7, due: 0 }, at(12));
    assert_only(ledger, Breach::Misdirected, 1);

    let mut ledger = self::ledger();
    let stamp = commit(&mut ledger, 11);
    for member in 0..3 {
        ledger.deliver(member, &stamp, at(11));
    }
    // Received while it is still owed to nobody but the sender and 1.
    assert_eq!(ledger.breaches.count(Breach::Twice), 1, "{}", ledger.breaches);
}

#[test]
fn a_gap_waives_what_lies_before_it() {
    let mut ledger = ledger();
    let first = commit(&mut ledger, 11);
    let second = commit(&mut ledger, 20);
    let unanswered = send(&mut ledger, Kind::Message(1));
    ledger.begin(1, at(15));
    for (stamp, revision) in [(&first, 11), (&second, 20)] {
        ledger.deliver(0, stamp, at(revision));
    }
    ledger.deliver(1, &second, at(20));
    ledger.commit(0, unanswered.event, (at(21), false), false);
    ledger.deliver(0, &unanswered, at(21));
    ledger.deliver(1, &unanswered, at(21));
    assert_only(ledger, Breach::Lost, 0);
}

#[test]
fn an_event_without_an_answer_is_for_all_or_for_nobody() {
    let mut ledger = ledger();
    let nobody = send(&mut ledger, Kind::Message(1));
    let half = send(&mut ledger, Kind::Message(1));
    for stamp in [&nobody, &half] {
        ledger.miss_answer(0, stamp.event, false);
    }
    ledger.deliver(0, &half, at(11));
    assert_eq!(ledger.unsettled(), 1);
    assert_only(ledger, Breach::Lost, 1);
}

#[test]
fn an_answer_that_does_not_come_is_overdue() {
    let mut ledger = ledger();
    let stamp = send(&mut ledger, Kind::Purchase);
    assert_eq!(ledger.sweep(SECOND), []);
    assert_eq!(ledger.sweep(31 * SECOND), [(0, stamp.event)]);
}
