//! How many connections are opened, one after the other.

use std::ops::Range;

use crate::{
    clock::Micros,
    pace::offset,
    swarm::{Listener, Swarm},
};

/// Opens connections at a rate, so many at the same time.
#[derive(Debug)]
pub(crate) struct Opening {
    numbers: Range<u32>,
    begun: u64,
    /// A second; 0: as soon as there is room in the window.
    rate: f64,
    window: u32,
    begin: Micros,
}

impl Opening {
    pub(crate) fn new(numbers: Range<u32>, rate: f64, window: u32, begin: Micros) -> Self {
        Self { numbers, begun: 0, rate, window: window.max(1), begin }
    }

    /// Whether all are open, or have failed.
    pub(crate) fn is_over(&self, swarm: &Swarm) -> bool {
        self.numbers.is_empty() && swarm.opening() == 0
    }

    /// Begins what is due. Returns when there is more to do, if nothing happens before.
    pub(crate) fn step(
        &mut self,
        now: Micros,
        swarm: &mut Swarm,
        listener: &mut impl Listener,
    ) -> Micros {
        while !self.numbers.is_empty() && swarm.opening() < self.window {
            let due =
                if self.rate > 0.0 { self.begin + offset(self.begun, self.rate) } else { now };
            if due > now {
                return due;
            }
            if let Some(number) = self.numbers.next() {
                self.begun += 1;
                swarm.open(number, due, listener);
            }
        }
        Micros::MAX
    }
}
