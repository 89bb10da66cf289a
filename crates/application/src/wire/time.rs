//! A time as everybody reads it.

use game_realtime_domain::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// RFC 3339, UTC, milliseconds.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    i64::try_from(time.as_millis())
        .ok()
        .and_then(|milliseconds| jiff::Timestamp::from_millisecond(milliseconds).ok())
        .map(|time| PRINTER.timestamp_to_string(&time))
        .unwrap_or_default()
}
