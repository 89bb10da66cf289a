//! One client of a crowd, on however many connections: what it has on its way, and when it connects
//! and sends next.

use std::time::Duration;

use game_realtime_loadgen::clock::{Micros, micros};

/// How long a client waits before it connects again, or sends again after "later".
const PAUSE: Duration = Duration::from_millis(200);
/// Events that a client at a pace may have on their way: more than it sends while nothing is wrong.
const IN_FLIGHT_AT_A_PACE: usize = 48;

/// One client.
#[derive(Debug)]
pub(super) struct Member {
    number: u32,
    /// Its connections are those whose number is its own modulo this.
    members: u32,
    nodes: u32,
    /// Whether it goes to another node when it is cut off.
    wanders: bool,
    /// Which of its connections it uses.
    turn: u32,
    pub(super) is_live: bool,
    /// Whether a connection is live or on its way to be.
    is_connecting: bool,
    /// Not before then it connects or sends.
    paused_until: Micros,
    /// The time from one event to the next, and when that is; none: as soon as it may.
    pace: Option<(Micros, Micros)>,
    most_in_flight: usize,
    in_flight: Vec<u32>,
    /// Events to be sent again.
    again: Vec<u32>,
    /// Where it was.
    pub(super) cursor: Vec<u8>,
    /// Events that all clients had committed when it saw that.
    pub(super) seen_at: u64,
}

impl Member {
    /// A client that sends as much as it may.
    pub(super) fn flooding(number: u32, members: u32, nodes: u32, in_flight: usize) -> Self {
        Self {
            number,
            members,
            nodes,
            wanders: number.is_multiple_of(2),
            turn: 0,
            is_live: false,
            is_connecting: false,
            paused_until: 0,
            pace: None,
            most_in_flight: in_flight,
            in_flight: Vec::new(),
            again: Vec::new(),
            cursor: Vec::new(),
            seen_at: 0,
        }
    }

    /// A client that sends an event each `pace`, and stays with its node.
    pub(super) fn quiet(number: u32, members: u32, nodes: u32, pace: Duration) -> Self {
        Self {
            wanders: false,
            pace: Some((micros(pace), 0)),
            most_in_flight: IN_FLIGHT_AT_A_PACE,
            ..Self::flooding(number, members, nodes, 0)
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.pace.is_some()
    }

    /// The connection that it uses.
    pub(super) fn connection(&self) -> u32 {
        self.number + self.turn * self.members
    }

    /// The connection to open now, if it has none.
    pub(super) fn connect(&mut self, now: Micros) -> Option<u32> {
        if self.is_connecting || now < self.paused_until {
            return None;
        }
        self.is_connecting = true;
        Some(self.connection())
    }

    pub(super) fn become_live(&mut self) {
        self.is_live = true;
    }

    /// Its connection has ended. Returns the events that wait for their answer.
    pub(super) fn leave(&mut self, now: Micros) -> Vec<u32> {
        self.is_connecting = false;
        self.is_live = false;
        self.paused_until = now + micros(PAUSE);
        if self.wanders {
            self.turn = (self.turn + 1) % self.nodes;
        }
        let mut lost = std::mem::take(&mut self.in_flight);
        lost.sort_unstable();
        lost
    }

    /// An event that it is to send again now.
    pub(super) fn next_again(&mut self, now: Micros) -> Option<u32> {
        if !self.may_send(now) || self.again.is_empty() {
            return None;
        }
        let number = self.again.remove(0);
        self.in_flight.push(number);
        Some(number)
    }

    /// When the event that it is to send now was due, if it is to send one. [`sent`](Self::sent) must
    /// follow.
    pub(super) fn next_due(&mut self, now: Micros) -> Option<Micros> {
        if !self.may_send(now) || !self.again.is_empty() {
            return None;
        }
        let Some((step, due)) = &mut self.pace else { return Some(now) };
        if *due > now {
            return None;
        }
        // What was due while it was away is not made up for.
        let is_late = *due + 20 * *step < now;
        let this = if is_late { now } else { *due };
        *due = this + *step;
        Some(this)
    }

    pub(super) fn sent(&mut self, number: u32) {
        self.in_flight.push(number);
    }

    /// When it has something to do that nobody else will wake it for.
    pub(super) fn wake(&self, now: Micros) -> Micros {
        if self.paused_until > now {
            return self.paused_until;
        }
        self.pace.filter(|_| self.is_live).map_or(Micros::MAX, |(_, due)| due)
    }

    /// An event was answered. Whether it waited for that.
    pub(super) fn answered(&mut self, number: u32) -> bool {
        let at = self.in_flight.iter().position(|it| *it == number);
        at.map(|at| self.in_flight.swap_remove(at)).is_some()
    }

    /// It will send an event again, after a while if it was refused.
    pub(super) fn ask_again(&mut self, number: u32) {
        self.again.push(number);
    }

    /// It holds back for a moment.
    pub(super) fn pause(&mut self, now: Micros) {
        self.paused_until = now + micros(PAUSE);
    }

    /// Whether nothing of it is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.is_live && self.in_flight.is_empty() && self.again.is_empty()
    }

    fn may_send(&self, now: Micros) -> bool {
        self.is_live && now >= self.paused_until && self.in_flight.len() < self.most_in_flight
    }
}
