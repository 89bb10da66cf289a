//! What many measurements come down to.

use std::fmt;

/// The middle and the extremes of some measurements.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// The middle one.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// Sums measurements up.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn of(measurements: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = measurements.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else {
            panic!("nothing was measured");
        };
        Self { median: percentile(&sorted, 50), min: *min, max: *max }
    }
}

/// `median (min to max)`, with the formatter's precision.
impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = formatter.precision().unwrap_or(1);
        let Self { median, min, max } = self;
        write!(formatter, "{median:.digits$} ({min:.digits$} to {max:.digits$})")
    }
}

/// The measurement that `percent` of all are at or below, by the nearest rank.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    *sorted.get(rank - 1).expect("something was measured")
}

/// How measurements compare to those of the same rounds of something else.
#[must_use]
pub fn ratio(measured: &[f64], baseline: &[f64]) -> Summary {
    Summary::of(measured.iter().zip(baseline).map(|(measured, baseline)| measured / baseline))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measurements() {
        let sorted = [1.0, 2.0, 3.0, 4.0];
        assert_eq!([0, 25, 50, 99, 100].map(|p| percentile(&sorted, p)), [1.0, 1.0, 2.0, 4.0, 4.0]);
    }

    #[test]
    fn a_summary_reads_as_text() {
        assert_eq!(format!("{:.2}", Summary::of([3.0, 1.0, 2.0])), "2.00 (1.00 to 3.00)");
    }
}
