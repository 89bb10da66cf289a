//! How long the embedded store keeps things.

use std::time::Duration;

/// What may be forgotten, and when. Nothing is forgotten sooner; later, little by little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Younger events are kept, by their `created_at`.
    pub retention: Duration,
    /// So many of the newest events are kept, however old they are.
    pub kept_events: u64,
    /// So long a `request_id` is remembered after its commit.
    pub idempotency_window: Duration,
}
