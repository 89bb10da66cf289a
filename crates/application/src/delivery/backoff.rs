//! How long to wait before the store is asked again.

use std::{
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    time::Duration,
};

/// The pauses between attempts: doubling, with jitter so that nodes do not return in step.
pub(super) struct Backoff {
    pause: Duration,
    /// What makes this node's pauses different from those of others.
    seed: u64,
    attempts: u64,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);

    /// The same pauses for the same seed.
    pub(super) fn new(seed: u64) -> Self {
        Self { pause: Self::FIRST, seed, attempts: 0 }
    }

    /// A seed that no other process has: a fresh `RandomState` is a different one everywhere.
    pub(super) fn random_seed() -> u64 {
        RandomState::new().hash_one(())
    }

    /// Begins with the shortest pause again, because the store answered.
    pub(super) fn reset(&mut self) {
        self.pause = Self::FIRST;
    }

    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.next()).await;
    }

    fn next(&mut self) -> Duration {
        self.attempts += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, self.attempts).hash(&mut hasher);
        // Up to a quarter more.
        let jitter = u32::try_from(hasher.finish() % 256).unwrap_or_default();
        let pause = self.pause + self.pause * jitter / 1024;
        self.pause = (self.pause * 2).min(Self::LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_with_up_to_a_quarter_of_jitter() {
        let mut backoff = Backoff::new(7);
        for expected in [50, 100, 200, 400, 800, 1000, 1000] {
            let expected = Duration::from_millis(expected);
            let pause = backoff.next();
            assert!((expected..=expected + expected / 4).contains(&pause), "{pause:?}");
        }
        backoff.reset();
        assert!(backoff.next() < Duration::from_millis(100));
    }

    #[test]
    fn nodes_do_not_return_in_step_but_a_seed_repeats_itself() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(seed);
            std::iter::repeat_with(|| backoff.next()).take(10).collect::<Vec<_>>()
        };
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }
}
