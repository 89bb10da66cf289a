//! Token buckets: how often something may happen.

use std::{hash::Hash, num::NonZeroU32, ops::Add, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, ReasonablyRealtime, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, keyed::DashMapStateStore},
};
use tokio::time::{Instant, sleep};

/// How often something may happen: `burst` times at once, `per_second` times in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Times a second in the long run; 0 is no limit at all.
    pub per_second: u32,
    /// Times at once, after a pause that is long enough.
    pub burst: u32,
}

impl Rate {
    /// As often as one likes.
    pub const UNLIMITED: Self = Self { per_second: 0, burst: 1 };

    fn quota(self) -> Option<Quota> {
        let per_second = NonZeroU32::new(self.per_second)?;
        Some(Quota::per_second(per_second).allow_burst(NonZeroU32::new(self.burst)?))
    }
}

/// One bucket. Some fifty bytes, no task.
pub(super) struct Bucket(
    Option<RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>>,
);

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        Self(rate.quota().map(|quota| RateLimiter::direct_with_clock(quota, TokioClock)))
    }

    /// A bucket of `count` that fills up within `window`. Without a count it never runs dry.
    pub(super) fn within(count: u32, window: Duration) -> Self {
        let quota = NonZeroU32::new(count)
            .and_then(|count| Some(Quota::with_period(window / count.get())?.allow_burst(count)));
        Self(quota.map(|quota| RateLimiter::direct_with_clock(quota, TokioClock)))
    }

    /// Takes one out, if there is one.
    pub(super) fn take(&self) -> bool {
        self.0.as_ref().is_none_or(|bucket| bucket.check().is_ok())
    }
}

/// One bucket for each key. Those that are full again are forgotten while
/// [`keep_tidy`](Self::keep_tidy) runs.
pub struct Buckets<K: Hash + Eq + Clone>(
    Option<RateLimiter<K, DashMapStateStore<K>, TokioClock, NoOpMiddleware<Moment>>>,
);

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// How often those are forgotten that are full again.
    const TIDY_INTERVAL: Duration = Duration::from_secs(10);

    /// Full buckets, for all there may be.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self(rate.quota().map(|quota| RateLimiter::dashmap_with_clock(quota, TokioClock)))
    }

    /// Takes one out of the key's bucket, if there is one.
    pub fn take(&self, key: &K) -> bool {
        self.0.as_ref().is_none_or(|buckets| buckets.check_key(key).is_ok())
    }

    /// How many keys take memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, RateLimiter::len)
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets, now and then, the keys whose buckets are full again. Never ends.
    pub async fn keep_tidy(&self) {
        loop {
            sleep(Self::TIDY_INTERVAL).await;
            if let Some(buckets) = &self.0 {
                buckets.retain_recent();
                buckets.shrink_to_fit();
            }
        }
    }
}

/// Time as tokio keeps it: tests pause it.
struct TokioClock;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Instant);

impl Clock for TokioClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

impl ReasonablyRealtime for TokioClock {}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        self.0.checked_sub(duration.into()).map_or(*self, Self)
    }
}

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, duration: Nanos) -> Self {
        Self(self.0 + Duration::from(duration))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    #[tokio::test(start_paused = true)]
    async fn a_bucket_gives_its_burst_and_then_its_rate() {
        let bucket = Bucket::new(RATE);
        let taken = |bucket: &Bucket| {
            std::iter::repeat_with(|| bucket.take()).take(50).filter(|it| *it).count()
        };
        assert_eq!(taken(&bucket), 3);
        advance(Duration::from_millis(200)).await;
        assert_eq!(taken(&bucket), 2);
        advance(Duration::from_secs(60)).await;
        assert_eq!(taken(&bucket), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_count_within_a_window_comes_back_within_the_window() {
        let bucket = Bucket::within(100, Duration::from_secs(10));
        assert!((0..100).all(|_| bucket.take()));
        assert!(!bucket.take());
        advance(Duration::from_secs(10)).await;
        assert!((0..100).all(|_| bucket.take()));
        assert!(!bucket.take());
    }

    #[tokio::test]
    async fn zero_is_no_limit() {
        let bucket = Bucket::new(Rate::UNLIMITED);
        let never = Bucket::within(0, Duration::from_secs(10));
        let keyed = Buckets::new(Rate::UNLIMITED);
        assert!((0..100_000).all(|_| bucket.take() && never.take() && keyed.take(&1)));
        assert!(keyed.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_do_not_share_and_are_forgotten_when_full_again() {
        let buckets = Buckets::new(RATE);
        assert!((0..3).all(|_| buckets.take(&"alice")));
        assert!(!buckets.take(&"alice"));
        assert!(buckets.take(&"bob"));
        assert_eq!(buckets.len(), 2);
        tokio::time::timeout(Duration::from_secs(30), buckets.keep_tidy()).await.unwrap_err();
        assert!(buckets.is_empty());
    }
}
