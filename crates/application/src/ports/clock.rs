//! The ports to time and to fresh identifiers.

use game_realtime_domain::Timestamp;
use uuid::Uuid;

/// The time of day. (Waiting is tokio's: tests pause it.)
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Where fresh identifiers come from.
pub trait IdGenerator: Send + Sync {
    /// An id that nobody has had before. Ids made later sort later where that costs nothing.
    fn next(&self, now: Timestamp) -> Uuid;
}
