//! Says whether what the clients saw is what the contract promises: one order, exactly once,
//! without a hole, to nobody else, and nothing acknowledged lost.
//!
//! Give it what every connection received ([`ConnectionLog`]), what was acknowledged ([`Acked`])
//! and, if you can, a final read of the store; it finds every breach rather than the first.

mod log;
mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

pub use log::{Acked, ConnectionLog, Cursor, Delivery, Sender};
pub use report::{Check, Report, Violation};

use crate::{Namespace, event};

/// Checks what connections received against each other and against what was acknowledged.
///
/// `acked` holds the acknowledgements of each connection in the order in which it sent the events.
/// `committed`, if it is known from elsewhere, holds events that nobody may have told of.
#[must_use]
pub fn validate(logs: &[ConnectionLog], acked: &[Acked], committed: &[Delivery]) -> Report {
    let mut report = Report {
        connections: logs.len(),
        acked: acked.len(),
        deliveries: logs.iter().map(|log| log.deliveries.len()).sum(),
        ..Report::default()
    };
    for log in logs {
        for fault in &log.malformed {
            report.add(Check::WellFormed, &log.name, fault.clone());
        }
        check_order(log, &mut report);
    }
    check_resumes(logs, &mut report);
    check_sent_order(acked, &mut report);
    let known = know(logs, acked, committed, &mut report);
    report.events = known.len();
    let acked_ids: HashSet<&str> = acked.iter().map(|ack| ack.event.id.as_str()).collect();
    for log in logs {
        check_addressees(log, &mut report);
        check_holes(log, &known, &acked_ids, &mut report);
    }
    report
}

/// As [`validate`], with everything that is in the store in the end: what was acknowledged or
/// delivered must be there, and what is there must have been delivered.
#[must_use]
pub fn validate_against_store(
    logs: &[ConnectionLog],
    acked: &[Acked],
    stored: &[Delivery],
) -> Report {
    let mut report = validate(logs, acked, stored);
    let ids: HashSet<&str> = stored.iter().map(|event| event.id.as_str()).collect();
    for ack in acked.iter().filter(|ack| !ids.contains(ack.event.id.as_str())) {
        let detail = format!("{} was acknowledged and is not stored", ack.event.id);
        report.add(Check::Stored, &ack.event.sender.connection_id, detail);
    }
    for log in logs {
        for event in log.deliveries.iter().filter(|event| !ids.contains(event.id.as_str())) {
            let detail = format!("{} was delivered and is not stored", event.id);
            report.add(Check::Stored, &log.name, detail);
        }
    }
    report
}

/// Resumable: the next connection of a client begins where the one before was cut off.
fn check_resumes(logs: &[ConnectionLog], report: &mut Report) {
    for pair in logs.windows(2) {
        let [before, after] = pair else { continue };
        if before.client != after.client {
            continue;
        }
        if after.recovery != "recovered" {
            let detail = format!("{} although it came with {}", after.recovery, before.left());
            report.add(Check::Resumable, &after.name, detail);
        } else if after.joined != *before.left() {
            let detail = format!("goes on from {}, not {}", after.joined, before.left());
            report.add(Check::Resumable, &after.name, detail);
        } else {
            report.resumes += 1;
        }
    }
}

/// Ordered, unique: positions only grow, starting after where the connection joined.
fn check_order(log: &ConnectionLog, report: &mut Report) {
    let mut seen = HashSet::new();
    let mut last = &log.joined;
    for delivery in &log.deliveries {
        if !seen.insert(&delivery.id) {
            report.add(Check::Unique, &log.name, format!("{} came again", delivery.id));
        } else if delivery.cursor.position <= last.position {
            let detail = format!("{} at {} came after {last}", delivery.id, delivery.cursor);
            report.add(Check::Ordered, &log.name, detail);
        }
        if delivery.cursor.epoch != log.joined.epoch {
            let detail = format!("{} is of another epoch than {}", delivery.cursor, log.joined);
            report.add(Check::Consistent, &log.name, detail);
        }
        last = &delivery.cursor;
    }
}

/// Events sent by one connection commit in the order sent.
fn check_sent_order(acked: &[Acked], report: &mut Report) {
    let mut last: HashMap<&str, &Cursor> = HashMap::new();
    for ack in acked.iter().filter(|ack| !ack.duplicate) {
        let connection = ack.event.sender.connection_id.as_str();
        if let Some(before) = last.insert(connection, &ack.event.cursor)
            && ack.event.cursor.position <= before.position
        {
            let detail =
                format!("{} at {} was sent after {before}", ack.event.id, ack.event.cursor);
            report.add(Check::SentOrder, connection, detail);
        }
    }
}

/// Consistent: the same id is the same event everywhere, and no two events share a position.
fn know<'a>(
    logs: &'a [ConnectionLog],
    acked: &'a [Acked],
    committed: &'a [Delivery],
    report: &mut Report,
) -> BTreeMap<(u64, u32), &'a Delivery> {
    let mut by_id: HashMap<&str, &Delivery> = HashMap::new();
    let mut by_position: BTreeMap<(u64, u32), &Delivery> = BTreeMap::new();
    let delivered = logs
        .iter()
        .flat_map(|log| log.deliveries.iter().map(|delivery| (log.name.as_str(), delivery)))
        .map(|(name, delivery)| (Check::Consistent, name, delivery));
    let acked = acked
        .iter()
        .map(|ack| (Check::AckConsistent, ack.event.sender.connection_id.as_str(), &ack.event));
    let committed = committed.iter().map(|event| (Check::Consistent, "the store", event));
    for (check, who, event) in committed.chain(delivered).chain(acked) {
        let first = *by_id.entry(&event.id).or_insert(event);
        if first != event {
            report.add(check, who, format!("{event:?} is {first:?} elsewhere"));
            continue;
        }
        let first = *by_position.entry(event.cursor.position).or_insert(event);
        if first.id != event.id {
            let detail = format!("{} and {} are both at {}", first.id, event.id, event.cursor);
            report.add(check, who, detail);
        }
    }
    by_position
}

/// Addressed only: nobody gets what is not for them.
fn check_addressees(log: &ConnectionLog, report: &mut Report) {
    for delivery in log.deliveries.iter().filter(|delivery| !concerns(delivery, log)) {
        let detail = format!("{} {} is not for it", delivery.event_type, delivery.id);
        report.add(Check::AddressedOnly, &log.name, detail);
    }
}

/// Reliable: everything for a connection while it was connected has arrived.
fn check_holes(
    log: &ConnectionLog,
    known: &BTreeMap<(u64, u32), &Delivery>,
    acked: &HashSet<&str>,
    report: &mut Report,
) {
    let got: BTreeSet<&str> = log.deliveries.iter().map(|delivery| delivery.id.as_str()).collect();
    let last = log.deliveries.iter().map(|delivery| delivery.cursor.position).max();
    for (position, event) in known {
        // How far one that left had come is known from its last event only.
        let connected = *position > log.joined.position
            && (log.stayed || last.is_some_and(|last| *position <= last));
        if !connected || !concerns(event, log) || got.contains(event.id.as_str()) {
            continue;
        }
        let own = event.sender.connection_id == log.connection_id;
        let check = if own && acked.contains(event.id.as_str()) {
            Check::AckedDelivered
        } else {
            Check::Reliable
        };
        let detail = format!("{} {} at {} is missing", event.event_type, event.id, event.cursor);
        report.add(check, &log.name, detail);
    }
}

/// Whether the contract addresses an event to a connection.
fn concerns(event: &Delivery, log: &ConnectionLog) -> bool {
    let is_senders = match &event.sender.user_id {
        Some(user_id) => log.user_id.as_ref() == Some(user_id),
        None => log.connection_id == event.sender.connection_id,
    };
    match event.event_type.as_str() {
        event::BROADCAST => {
            // Who has a user id is in the private namespace, and nobody else is.
            let private = event.sender.user_id.is_some();
            private == (log.namespace == Namespace::Private)
        }
        event::SEND_MESSAGE => {
            let target = event.payload.get("target_user_id").and_then(Value::as_str);
            is_senders || (target.is_some() && target == log.user_id.as_deref())
        }
        event::BUY_GOOD => is_senders,
        _ => false,
    }
}
