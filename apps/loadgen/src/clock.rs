//! Time, in microseconds since the program began.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the program began, or a span of them.
pub type Micros = u64;

/// The one place that asks the system for the time.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

#[expect(clippy::disallowed_methods, reason = "this is the clock of the program")]
impl Clock {
    /// A clock that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// What it is now.
    #[must_use]
    pub fn now(&self) -> Micros {
        micros(self.0.elapsed())
    }

    /// The time of day, in seconds since 1970.
    #[must_use]
    pub fn unix_seconds() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// A duration in microseconds.
#[must_use]
pub fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

/// Microseconds in seconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "less than 2^53 microseconds")]
pub fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}
