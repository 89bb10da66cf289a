//! Latencies, as a histogram of high dynamic range: three digits, from a microsecond to an hour.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::clock::Micros;

const LONGEST: Micros = 3600 * 1_000_000;

/// Latencies of one kind.
#[derive(Debug)]
pub struct Latency(Histogram<u64>);

/// What they come down to, in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LatencySummary {
    /// How many there are.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The median.
    pub p50: u64,
    /// Nine in ten are at most this.
    pub p90: u64,
    /// 99 in a hundred are at most this.
    pub p99: u64,
    /// 999 in a thousand are at most this.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

impl Latency {
    /// An empty histogram.
    ///
    /// # Panics
    /// Never: its bounds are constants.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the bounds are constants")]
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds of a histogram"))
    }

    /// Adds one.
    pub fn record(&mut self, micros: Micros) {
        self.0.saturating_record(micros);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// The value that this share of all is at or below.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Micros {
        self.0.value_at_quantile(share)
    }

    /// `None` if there are none.
    #[must_use]
    pub fn summary(&self) -> Option<LatencySummary> {
        (!self.0.is_empty()).then(|| LatencySummary {
            count: self.0.len(),
            mean: self.0.mean(),
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            max: self.0.max(),
        })
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}
