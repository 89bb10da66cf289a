//! What the connections see, written down: counts, latencies, and every event in the ledger.

use std::collections::BTreeMap;

use memchr::memmem;

use crate::{
    clock::Micros,
    connection::{Ended, Stage},
    latency::Latency,
    ledger::{Delivery, Fate, Ledger},
    pace::Until,
    stamp::Stamp,
    swarm::Listener,
};

/// What happened that should not have, or that is worth counting.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) connected: u64,
    pub(crate) not_connected: u64,
    pub(crate) disconnected: u64,
    pub(crate) doubled: u64,
    pub(crate) out_of_order: u64,
    pub(crate) misdirected: u64,
    /// Deliveries of events that are not of this run.
    pub(crate) foreign: u64,
    pub(crate) recovered: u64,
    pub(crate) gaps: u64,
    /// What was said of connections that ended and events that were refused, and how often.
    pub(crate) reasons: BTreeMap<String, u64>,
}

/// What arrived in some time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Arrivals {
    pub(crate) answers: u64,
    pub(crate) deliveries: u64,
    /// Bytes of their packets.
    pub(crate) bytes: u64,
}

/// Where connections that were away are in what they missed.
#[derive(Debug, Default)]
struct Missed {
    /// Events below this number were missed.
    end: u32,
    /// By connection: when it was to return, and how many it misses.
    by_connection: Vec<(Micros, u32)>,
}

/// The one who is told everything.
#[derive(Debug)]
pub(crate) struct Witness {
    run: u32,
    accepted: String,
    pub(crate) ledger: Ledger,
    pub(crate) counts: Counts,
    /// Deliveries since the beginning.
    pub(crate) delivered: u64,
    /// Since measuring began.
    pub(crate) arrivals: Arrivals,
    /// When the last connection has become ready.
    pub(crate) last_ready: Micros,
    pub(crate) connect: Latency,
    pub(crate) answer: Latency,
    pub(crate) delivery: Latency,
    pub(crate) settle: Latency,
    pub(crate) catch_up: Latency,
    /// Latencies are those of events from this number on.
    pub(crate) measured_from: u32,
    /// Senders of which an event is no longer on its way.
    pub(crate) free: Vec<u32>,
    /// Until when an event is on its way.
    until: Until,
    /// By connection, if they are to return.
    cursors: Vec<Vec<u8>>,
    missed: Missed,
}

impl Witness {
    pub(crate) fn new(run: u32, accepted: &str, until: Until, ledger: Ledger) -> Self {
        Self {
            run,
            accepted: accepted.to_owned(),
            ledger,
            counts: Counts::default(),
            delivered: 0,
            arrivals: Arrivals::default(),
            last_ready: 0,
            connect: Latency::new(),
            answer: Latency::new(),
            delivery: Latency::new(),
            settle: Latency::new(),
            catch_up: Latency::new(),
            measured_from: 0,
            free: Vec::new(),
            until,
            cursors: Vec::new(),
            missed: Missed::default(),
        }
    }

    /// From now on it remembers where each connection is.
    pub(crate) fn remember_cursors(&mut self, connections: u32) {
        self.cursors = vec![Vec::new(); connections as usize];
    }

    /// So many events up to this one are missed by all connections that are to return.
    pub(crate) fn expect_back(&mut self, connections: u32, end: u32, missed: u32) {
        self.missed = Missed { end, by_connection: vec![(0, missed); connections as usize] };
    }

    /// From now on latencies are measured, of events that are sent from now on.
    pub(crate) fn measure(&mut self) {
        self.measured_from = self.ledger.next_event();
        self.arrivals = Arrivals::default();
        for latency in [&mut self.answer, &mut self.delivery, &mut self.settle] {
            latency.clear();
        }
    }

    fn remember_cursor(&mut self, connection: u32, arguments: &[u8]) {
        let Some(cursor) = self.cursors.get_mut(connection as usize) else { return };
        if let Some(new) = text_field(arguments, b"\"cursor\":\"") {
            cursor.clear();
            cursor.extend(new);
        }
    }

    fn count_missed(&mut self, connection: u32, event: u32, now: Micros) {
        if event >= self.missed.end {
            return;
        }
        if let Some((due, missing)) = self.missed.by_connection.get_mut(connection as usize) {
            *missing = missing.saturating_sub(1);
            if *missing == 0 && *due > 0 {
                self.catch_up.record(now.saturating_sub(*due));
            }
        }
    }

    /// The sender of this event may send another, if it is no longer on its way.
    fn free_sender(&mut self, event: u32) {
        let Some(event) = self.ledger.event(event) else { return };
        if self.until == Until::Answered || event.is_settled() {
            self.free.push(event.sender);
        }
    }

    /// Counts why something went wrong.
    pub(crate) fn reason(&mut self, reason: String) {
        *self.counts.reasons.entry(reason).or_default() += 1;
    }
}

impl Listener for Witness {
    fn live(&mut self, connection: u32, due: Micros, now: Micros, ready: &[u8]) {
        self.counts.connected += 1;
        self.last_ready = now;
        self.connect.record(now.saturating_sub(due));
        self.remember_cursor(connection, ready);
        if let Some((returns, _)) = self.missed.by_connection.get_mut(connection as usize) {
            *returns = due;
        }
        match text_field(ready, b"\"recovery\":{\"status\":\"") {
            Some(b"recovered") => self.counts.recovered += 1,
            Some(b"gap") => self.counts.gaps += 1,
            Some(_) | None => {}
        }
    }

    fn event(&mut self, connection: u32, now: Micros, name: &[u8], arguments: &[u8]) {
        let Some(stamp) = Stamp::find(arguments).filter(|stamp| stamp.run == self.run) else {
            self.counts.foreign += 1;
            return;
        };
        self.remember_cursor(connection, arguments);
        match self.ledger.deliver(connection, &stamp) {
            Delivery::Fresh { out_of_order } => {
                self.counts.out_of_order += u64::from(out_of_order);
                self.delivered += 1;
                self.arrivals.deliveries += 1;
                self.arrivals.bytes += (name.len() + arguments.len()) as u64;
                if stamp.event >= self.measured_from {
                    self.delivery.record(now.saturating_sub(stamp.due));
                }
                self.count_missed(connection, stamp.event, now);
                if self.until == Until::Delivered {
                    self.free_sender(stamp.event);
                }
            }
            Delivery::Doubled => self.counts.doubled += 1,
            Delivery::Misdirected => self.counts.misdirected += 1,
            Delivery::Unknown => self.counts.foreign += 1,
        }
    }

    fn answer(&mut self, _connection: u32, now: Micros, event: u32, arguments: &[u8]) {
        let is_accepted =
            self.accepted.is_empty() || memmem::find(arguments, self.accepted.as_bytes()).is_some();
        let fate = if is_accepted { Fate::Accepted } else { Fate::Refused };
        let Some(sent) = self.ledger.answer(event, fate) else { return };
        let due = sent.due;
        self.free_sender(event);
        if is_accepted {
            self.arrivals.answers += 1;
            if event >= self.measured_from {
                self.answer.record(now.saturating_sub(due));
            }
        } else {
            let code = text_field(arguments, b"\"code\":\"").unwrap_or(arguments);
            self.reason(format!("refused: {}", String::from_utf8_lossy(code)));
        }
    }

    fn ended(&mut self, connection: u32, was: Stage, why: &Ended) {
        let when = if was == Stage::Live {
            self.counts.disconnected += 1;
            "disconnected"
        } else {
            self.counts.not_connected += 1;
            "not connected"
        };
        self.ledger.leave(connection);
        self.reason(format!("{when}: {why}"));
    }

    fn cursor(&self, connection: u32) -> &[u8] {
        self.cursors.get(connection as usize).map_or(b"", Vec::as_slice)
    }
}

/// The text that comes after `key`.
fn text_field<'a>(json: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(json, key)? + key.len();
    let rest = json.get(at..)?;
    rest.get(..memchr::memchr(b'"', rest)?)
}
