//! How many of something a client asks for.

use alloc::format;
use core::fmt;

use serde::{Deserializer, de};

use crate::CommandLimits;

/// What a count has to be, in the words of a fault.
const RULE: &str = "a whole number of at least 1";

/// Reads a whole number in any of its JSON spellings: `3`, `3.0`, `30e-1`. Some engines have no others than
/// floating-point numbers.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Visitor;

    impl de::Visitor<'_> for Visitor {
        type Value = i64;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(RULE)
        }

        fn visit_i64<E: de::Error>(self, count: i64) -> Result<i64, E> {
            Ok(count)
        }

        fn visit_u64<E: de::Error>(self, count: u64) -> Result<i64, E> {
            // One that does not fit is larger than any limit.
            Ok(i64::try_from(count).unwrap_or(i64::MAX))
        }

        fn visit_f64<E: de::Error>(self, count: f64) -> Result<i64, E> {
            whole(count).ok_or_else(|| E::invalid_value(de::Unexpected::Float(count), &self))
        }
    }

    deserializer.deserialize_i64(Visitor)
}

/// Whether a count is one that can be asked for.
pub(crate) fn count_within_limits(count: &i64, _limits: &CommandLimits) -> garde::Result {
    if *count < 1 {
        Err(garde::Error::new(format!("must be {RULE}")))
    } else if *count > CommandLimits::MAX_COUNT {
        Err(garde::Error::new(format!("must be at most {}", CommandLimits::MAX_COUNT)))
    } else {
        Ok(())
    }
}

/// The integer that a number is, if it is one; the nearest there is if it is too large.
#[must_use]
pub fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "compared with the number itself")]
    let integer = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "what is rounded is beyond every limit")]
    let is_whole = integer as f64 == number || number.abs() >= i64::MAX as f64;
    (is_whole && number.is_finite()).then_some(integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_number_is_an_integer() {
        for (number, integer) in [
            (1.0, Some(1)),
            (-0.0, Some(0)),
            (-3.0, Some(-3)),
            (9_007_199_254_740_991.0, Some(9_007_199_254_740_991)),
            (1e300, Some(i64::MAX)),
            (-1e300, Some(i64::MIN)),
            (0.5, None),
            (1.000_000_000_1, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            assert_eq!(whole(number), integer, "{number}");
        }
    }
}
