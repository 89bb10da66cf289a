//! How much the node holds of what clients have sent and is not carried out yet, over all connections.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The bytes of the events in flight on this node, and their bound.
#[derive(Debug)]
pub struct InFlight {
    /// 0 is no bound.
    most: usize,
    held: AtomicUsize,
}

/// The bytes of one event. Gives them back when dropped, whatever became of the event.
#[derive(Debug)]
pub struct InFlightPermit {
    of: Arc<InFlight>,
    bytes: usize,
}

impl InFlight {
    /// What an event takes besides its bytes while it is carried out. Small ones take memory, too.
    pub const OVERHEAD: usize = 1024;

    /// Nothing is in flight. `most` bounds the bytes; 0 is no bound.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: AtomicUsize::new(0) })
    }

    /// Takes an event of `bytes`, if there is room for it.
    #[must_use]
    pub fn take(self: &Arc<Self>, bytes: usize) -> Option<InFlightPermit> {
        let bytes = bytes.saturating_add(Self::OVERHEAD);
        let taken = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            let held = held.checked_add(bytes)?;
            (self.most == 0 || held <= self.most).then_some(held)
        });
        taken.ok().map(|_| InFlightPermit { of: Arc::clone(self), bytes })
    }

    /// What is held now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Drop for InFlightPermit {
    fn drop(&mut self) {
        self.of.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, thread};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_held_is_what_was_taken_and_never_more_than_the_bound(
            most in 0..20_000_usize,
            steps in prop::collection::vec(prop::option::weighted(0.7, 0..3000_usize), 0..200),
        ) {
            let in_flight = InFlight::new(most);
            let mut held: VecDeque<InFlightPermit> = VecDeque::new();
            for step in steps {
                let before: usize = held.iter().map(|permit| permit.bytes).sum();
                prop_assert_eq!(in_flight.bytes(), before);
                let Some(bytes) = step else {
                    held.pop_front();
                    continue;
                };
                let fits = most == 0 || before + bytes + InFlight::OVERHEAD <= most;
                let taken = in_flight.take(bytes);
                prop_assert_eq!(taken.is_some(), fits);
                held.extend(taken);
            }
            drop(held);
            prop_assert_eq!(in_flight.bytes(), 0);
        }
    }

    #[test]
    fn tasks_that_take_at_the_same_time_keep_the_bound_and_leave_nothing() {
        let in_flight = InFlight::new(10 * (InFlight::OVERHEAD + 100));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let permits: Vec<_> = (0..4).filter_map(|_| in_flight.take(100)).collect();
                        assert!(in_flight.bytes() <= in_flight.most);
                        drop(permits);
                    }
                });
            }
        });
        assert_eq!(in_flight.bytes(), 0);
        assert!(in_flight.take(usize::MAX).is_none());
    }
}
