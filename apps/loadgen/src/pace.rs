//! When events are sent.

use crate::clock::{Micros, seconds};

/// How events follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many a second from all senders together, whether or not those before are answered.
    Rate(f64),
    /// Each sender has so many on their way at any time.
    InFlight(u32),
    /// So many at once; the next when all have arrived everywhere, and a pause has passed.
    Burst {
        /// How many.
        size: u32,
        /// The pause.
        pause: Micros,
    },
}

/// Until when an event is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Until {
    /// Until it is answered
    Answered,
    /// Until it is answered and has arrived wherever it has to
    Delivered,
}

/// Something that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// The number of the sender.
    pub(crate) sender: u32,
    /// When it is to be sent.
    pub(crate) at: Micros,
}

/// Says what to send, step by step.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    senders: u32,
    begin: Micros,
    end: Micros,
    /// Events in all.
    limit: u64,
    sent: u64,
    /// When the burst that is on its way was sent.
    burst: Option<Micros>,
    next_burst: Micros,
}

/// How it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// When there is something to send next, if nothing else happens.
    pub(crate) wake: Micros,
    /// What a burst took that has arrived everywhere.
    pub(crate) settled: Option<Micros>,
}

impl Pacer {
    pub(crate) fn new(pace: Pace, senders: u32, begin: Micros, end: Micros, limit: u64) -> Self {
        let (senders, next_burst) = (senders.max(1), begin);
        Self { pace, senders, begin, end, limit, sent: 0, burst: None, next_burst }
    }

    /// Whether there is nothing more to send.
    pub(crate) fn is_over(&self, now: Micros) -> bool {
        now >= self.end || (self.sent >= self.limit && self.burst.is_none())
    }

    /// How many it has sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends what is due. `free` are the senders of which an event is no
    /// longer on its way, emptied here.
    pub(crate) fn step(
        &mut self,
        now: Micros,
        is_settled: bool,
        free: &mut Vec<u32>,
        mut send: impl FnMut(Due),
    ) -> Step {
        let mut settled = None;
        let wake = match self.pace {
            Pace::Rate(rate) => {
                free.clear();
                loop {
                    let due = self.begin + offset(self.sent, rate);
                    if self.sent >= self.limit || due >= self.end {
                        break self.end;
                    }
                    if due > now {
                        break due;
                    }
                    self.send_next(due, &mut send);
                }
            }
            Pace::InFlight(count) => {
                if self.sent == 0 {
                    free.clear();
                    for _ in 0..u64::from(count) * u64::from(self.senders) {
                        self.send_next(now, &mut send);
                    }
                }
                for sender in free.drain(..) {
                    if self.sent < self.limit && now < self.end {
                        self.sent += 1;
                        send(Due { sender, at: now });
                    }
                }
                self.end
            }
            Pace::Burst { size, pause } => {
                free.clear();
                if let Some(sent) = self.burst
                    && is_settled
                {
                    settled = Some(now.saturating_sub(sent));
                    self.burst = None;
                    self.next_burst = now + pause;
                }
                if self.burst.is_none() && self.sent < self.limit && self.next_burst <= now {
                    self.burst = Some(now);
                    for _ in 0..size {
                        self.send_next(now, &mut send);
                    }
                }
                if self.burst.is_some() { self.end } else { self.next_burst.min(self.end) }
            }
        };
        Step { wake, settled }
    }

    fn send_next(&mut self, at: Micros, send: &mut impl FnMut(Due)) {
        if self.sent < self.limit {
            let sender = u32::try_from(self.sent % u64::from(self.senders)).unwrap_or_default();
            self.sent += 1;
            send(Due { sender, at });
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "positive, and exact to a microsecond for 285 years"
)]
pub(crate) fn offset(number: u64, rate: f64) -> Micros {
    (number as f64 / rate * 1e6) as Micros
}

/// Events per second.
#[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
pub(crate) fn per_second(count: u64, time: Micros) -> f64 {
    if time == 0 { 0.0 } else { count as f64 / seconds(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(pacer: &mut Pacer, now: Micros, is_settled: bool, free: &[u32]) -> (Vec<Due>, Step) {
        let mut sent = Vec::new();
        let step = pacer.step(now, is_settled, &mut free.to_vec(), |due| sent.push(due));
        (sent, step)
    }

    #[test]
    fn what_is_late_is_due_when_it_was() {
        let mut pacer = Pacer::new(Pace::Rate(1000.0), 2, 10, 10_000_000, u64::MAX);
        assert_eq!(step(&mut pacer, 10, true, &[]).0, [Due { sender: 0, at: 10 }]);
        let (sent, next) = step(&mut pacer, 2500, true, &[]);
        assert_eq!(sent, [Due { sender: 1, at: 1010 }, Due { sender: 0, at: 2010 }]);
        assert_eq!(next.wake, 3010);
    }

    #[test]
    fn each_answer_makes_room_for_another() {
        let mut pacer = Pacer::new(Pace::InFlight(1), 3, 0, 1000, 5);
        let senders = |sent: Vec<Due>| sent.iter().map(|due| due.sender).collect::<Vec<_>>();
        assert_eq!(senders(step(&mut pacer, 0, false, &[]).0), [0, 1, 2]);
        assert_eq!(senders(step(&mut pacer, 1, false, &[2]).0), [2]);
        assert_eq!(senders(step(&mut pacer, 2, false, &[2, 0]).0), [2]);
        assert!(pacer.is_over(3));
    }

    #[test]
    fn a_burst_waits_until_the_last_has_arrived() {
        let mut pacer = Pacer::new(Pace::Burst { size: 2, pause: 5 }, 1, 0, 1000, 4);
        assert_eq!(step(&mut pacer, 0, true, &[]).0.len(), 2);
        assert_eq!(step(&mut pacer, 7, false, &[]).0.len(), 0);
        let (sent, next) = step(&mut pacer, 9, true, &[]);
        assert_eq!((sent.len(), next), (0, Step { wake: 14, settled: Some(9) }));
        assert_eq!(step(&mut pacer, 14, true, &[]).0.len(), 2);
        assert!(!pacer.is_over(15));
        step(&mut pacer, 16, true, &[]);
        assert!(pacer.is_over(16));
    }
}
