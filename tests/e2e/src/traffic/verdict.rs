//! Whether the promises were kept, and in how much traffic.

use std::{collections::HashMap, fmt, time::Duration};

use super::Sent;
use crate::validator::{Check, ConnectionLog, Delivery, Report, validate_against_store};

/// Less traffic proves nothing.
const LEAST_EVENTS_PER_SECOND: f64 = 50.0;

/// What came of some traffic.
#[derive(Debug)]
pub struct Verdict {
    /// What the validator found.
    pub report: Report,
    /// What the clients were told.
    pub sent: Sent,
    /// Events in the store.
    pub stored: usize,
    /// Events in the store by the time they were sent in.
    pub events_per_second: f64,
}

impl Verdict {
    pub(super) fn new(
        logs: &[ConnectionLog],
        mut sent: Sent,
        took: Duration,
        stored: &[Delivery],
    ) -> Self {
        // A client that was cut off may have sent on any of its connections: the store knows which.
        let by_id: HashMap<&str, &Delivery> =
            stored.iter().map(|event| (event.id.as_str(), event)).collect();
        for ack in &mut sent.acked {
            if let Some(event) = by_id.get(ack.event.id.as_str())
                && event.sender.user_id == ack.event.sender.user_id
            {
                ack.event.sender = event.sender.clone();
            }
        }
        let report = validate_against_store(logs, &sent.acked, stored);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let events_per_second = stored.len() as f64 / took.as_secs_f64();
        Self { report, sent, stored: stored.len(), events_per_second }
    }

    /// Events that somebody should have got, or that should be stored, and were not.
    #[must_use]
    pub fn lost(&self) -> usize {
        [Check::Reliable, Check::AckedDelivered, Check::Stored]
            .iter()
            .map(|check| self.report.count(*check))
            .sum()
    }

    /// Events that somebody got more than once.
    #[must_use]
    pub fn twice(&self) -> usize {
        self.report.count(Check::Unique)
    }

    /// Whether every promise was kept, in enough traffic.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.report.violations.is_empty()
            && self.sent.final_refusals.is_empty()
            && self.events_per_second >= LEAST_EVENTS_PER_SECOND
    }

    /// Prints the figures, and fails the test if anything is wrong.
    ///
    /// # Panics
    /// If anything is wrong.
    pub fn assert_clean(&self, scenario: &str) {
        eprintln!("{scenario}: {self}");
        assert!(self.is_clean(), "{scenario}: {self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, sent, stored, events_per_second } = self;
        write!(
            formatter,
            "{stored} events stored, {events_per_second:.0}/s (at least {LEAST_EVENTS_PER_SECOND}), \
             {} lost, {} twice, {} out of order, refused {:?}, {} unanswered, {} given up, slowest \
             answer {:.2?}; {report}",
            self.lost(),
            self.twice(),
            report.count(Check::Ordered),
            sent.refused,
            sent.unanswered,
            sent.given_up,
            sent.slowest,
        )?;
        for refusal in sent.final_refusals.iter().take(5) {
            write!(formatter, "\nrefused for good: {refusal}")?;
        }
        Ok(())
    }
}
