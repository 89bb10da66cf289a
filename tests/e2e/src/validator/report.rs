//! What the validator found.

use std::fmt;

/// How many violations a failing test prints.
const PRINTED: usize = 20;

/// The checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Every connection receives events in growing positions.
    Ordered,
    /// No connection receives an event twice.
    Unique,
    /// No connection misses an event that is for it.
    Reliable,
    /// Nobody receives what is not for them.
    AddressedOnly,
    /// The same id is the same event, at the same position, for everybody.
    Consistent,
    /// What was acknowledged reaches its sender, if it is for it.
    AckedDelivered,
    /// An acknowledgement names the id and cursor under which the event is delivered.
    AckConsistent,
    /// Events of one connection commit in the order sent.
    SentOrder,
    /// A client that comes back goes on exactly where it was cut off.
    Resumable,
    /// What was acknowledged or delivered is in the store, as it was told.
    Stored,
    /// Everything that arrives is as the contract says.
    WellFormed,
}

/// One breach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Of which check.
    pub check: Check,
    /// At which connection.
    pub connection: String,
    /// What exactly.
    pub detail: String,
}

/// All that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Connections looked at.
    pub connections: usize,
    /// How often clients came back and recovered.
    pub resumes: usize,
    /// Acknowledgements looked at.
    pub acked: usize,
    /// Different events seen.
    pub events: usize,
    /// Deliveries looked at.
    pub deliveries: usize,
    /// The breaches.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Fails the test if anything is wrong.
    ///
    /// # Panics
    /// If anything is wrong.
    pub fn assert_clean(&self) {
        assert!(self.violations.is_empty(), "{self}");
    }

    /// How many breaches of a check there are.
    #[must_use]
    pub fn count(&self, check: Check) -> usize {
        self.violations.iter().filter(|violation| violation.check == check).count()
    }

    pub(super) fn add(&mut self, check: Check, connection: &str, detail: String) {
        self.violations.push(Violation { check, connection: connection.to_owned(), detail });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, resumes, acked, events, deliveries, violations } = self;
        write!(
            formatter,
            "{connections} connections, {resumes} resumes, {acked} acknowledgements, {events} events, {deliveries} \
             deliveries, {} violations",
            violations.len()
        )?;
        for Violation { check, connection, detail } in violations.iter().take(PRINTED) {
            write!(formatter, "\n{check:?}: {connection}: {detail}")?;
        }
        // Of many, how they are spread.
        let stretches = violations.chunk_by(|one, other| {
            (one.check, &one.connection) == (other.check, &other.connection)
        });
        for stretch in stretches.filter(|stretch| stretch.len() > 1).take(PRINTED) {
            if let [first, .., last] = stretch {
                let (check, connection, count) = (first.check, &first.connection, stretch.len());
                let (from, to) = (&first.detail, &last.detail);
                write!(formatter, "\n{count} {check:?}: {connection}: from {from} to {to}")?;
            }
        }
        Ok(())
    }
}
