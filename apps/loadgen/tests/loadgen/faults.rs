//! What a server does wrong is counted, and makes the program fail.

use crate::{
    misbehaving::{Fault, serve},
    program::{Outcome, report},
};

/// Sends 30 events to a server that does this wrong.
fn run(fault: Fault, scenario: &str, more: &[&str]) -> Outcome {
    let url = serve(fault);
    let common = ["-n", "6", "--form", "plain", "--node", &url, "--rate", "200", "--events", "30"];
    let times = ["--warm-up", "0s", "--grace", "400ms", "--aftermath", "50ms"];
    report(&[&[scenario], &common[..], &times[..], more].concat())
}

/// Which counts of the verdict are not zero, of those that are faults.
fn faults(outcome: &Outcome) -> Vec<(&'static str, u64)> {
    let names = [
        "lost",
        "doubled",
        "out_of_order",
        "misdirected",
        "refused",
        "unanswered",
        "not_connected",
        "disconnected",
    ];
    let counts = names.map(|name| (name, outcome.number(&format!("verdict.{name}"))));
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn a_server_that_does_nothing_wrong_is_clean() {
    for scenario in ["connect", "broadcast", "direct", "purchase"] {
        let more: &[&str] = if scenario == "purchase" {
            // It knows no audience of one: this is a message to oneself.
            &["--purchase-payload", r#"{"target_user_id":"{user}","text":"{stamp}"}"#]
        } else {
            &[]
        };
        let outcome = run(Fault::None, scenario, more);
        outcome.assert_clean();
        let sent = if scenario == "connect" { 0 } else { 30 };
        assert_eq!(outcome.number("verdict.sent"), sent, "{scenario}");
    }
}

#[test]
fn a_lost_delivery_is_counted() {
    let outcome = run(Fault::Drop, "broadcast", &[]);
    assert_eq!((outcome.code, faults(&outcome)), (Some(1), vec![("lost", 1)]));
    assert_eq!(outcome.number("verdict.delivered") + 1, outcome.number("verdict.expected"));
}

#[test]
fn a_doubled_delivery_is_counted() {
    let outcome = run(Fault::Double, "broadcast", &[]);
    assert_eq!((outcome.code, faults(&outcome)), (Some(1), vec![("doubled", 1)]));
    assert_eq!(outcome.number("verdict.delivered"), outcome.number("verdict.expected"));
}

#[test]
fn an_order_that_is_promised_is_checked_and_no_other() {
    let run = |order| run(Fault::Swap, "broadcast", &["--order", order]);
    for order in ["total", "sender"] {
        let outcome = run(order);
        assert_eq!(
            (outcome.code, faults(&outcome)),
            (Some(1), vec![("out_of_order", 1)]),
            "{order}"
        );
    }
    run("none").assert_clean();
}

#[test]
fn two_senders_may_overtake_each_other_unless_one_order_is_promised() {
    let run = |order| run(Fault::Swap, "broadcast", &["--senders", "2", "--order", order]);
    assert_eq!(faults(&run("total")), [("out_of_order", 1)]);
    run("sender").assert_clean();
}

#[test]
fn a_delivery_to_others_is_counted() {
    let outcome = run(Fault::Astray, "direct", &[]);
    // To six each, of whom it concerns two.
    assert_eq!((outcome.code, faults(&outcome)), (Some(1), vec![("misdirected", 4 * 30)]));
}

#[test]
fn an_event_without_answer_is_counted() {
    let outcome = run(Fault::Silence, "broadcast", &[]);
    assert_eq!((outcome.code, faults(&outcome)), (Some(1), vec![("unanswered", 1)]));
}

#[test]
fn a_refused_event_is_counted() {
    let outcome = run(Fault::Refuse, "broadcast", &["--accepted", r#""status":"ok""#]);
    assert_eq!((outcome.code, faults(&outcome)), (Some(1), vec![("refused", 1)]));
}

#[test]
fn a_connection_that_is_cut_off_is_counted() {
    let outcome = run(Fault::HangUp, "broadcast", &[]);
    assert_eq!((outcome.code, faults(&outcome)), (Some(1), vec![("disconnected", 1)]));
}

#[test]
fn a_connection_that_never_opens_is_counted() {
    let outcome = run(Fault::Deaf, "connect", &["--connect-timeout", "300ms"]);
    assert_eq!((outcome.code, faults(&outcome)), (Some(1), vec![("not_connected", 6)]));
}
