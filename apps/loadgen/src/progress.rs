//! A line a second on the standard error stream, while it runs.

use crate::{
    clock::{Micros, seconds},
    pace::per_second,
    swarm::Swarm,
    witness::{Arrivals, Witness},
};

const INTERVAL: Micros = 1_000_000;

/// Tells how far it is.
#[derive(Debug)]
pub(crate) struct Progress {
    is_quiet: bool,
    last: Micros,
    last_look: Micros,
    before: Arrivals,
}

impl Progress {
    pub(crate) fn new(is_quiet: bool) -> Self {
        Self { is_quiet, last: 0, last_look: 0, before: Arrivals::default() }
    }

    pub(crate) fn is_due(&self, now: Micros) -> bool {
        !self.is_quiet && now >= self.last + INTERVAL
    }

    /// Whether it is time to look for connections that are late. Then not again for some time.
    pub(crate) fn is_impatient(&mut self, now: Micros, interval: Micros) -> bool {
        let is_due = now >= self.last_look + interval;
        if is_due {
            self.last_look = now;
        }
        is_due
    }

    pub(crate) fn tell(
        &mut self,
        now: Micros,
        phase: &str,
        swarm: &Swarm,
        witness: &Witness,
        sent: u64,
    ) {
        let Arrivals { answers, deliveries, .. } = witness.arrivals;
        let time = now - self.last;
        // Measuring begins to count anew.
        let rate =
            |count: u64, before| per_second(count.checked_sub(before).unwrap_or(count), time);
        eprintln!(
            "{:6.1} s  {phase}: {} live, {} opening; {sent} sent, {:.0} answers/s, {:.0} deliveries/s, p99 {:.1} ms",
            seconds(now),
            swarm.live(),
            swarm.opening(),
            rate(answers, self.before.answers),
            rate(deliveries, self.before.deliveries),
            seconds(witness.delivery.quantile(0.99)) * 1000.0,
        );
        self.before = witness.arrivals;
        self.last = now;
    }
}
