//! What kind of schedule a seed stands for.

use std::time::Duration;

use game_realtime_application::TimelineLimits;

use crate::{clock::JumpingClock, random::Random};

/// Drawn once per schedule, so that schedules differ in kind and not only in detail.
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    pub(crate) clients: usize,
    pub(crate) users: usize,
    /// How long there is trouble, before everything settles.
    pub(crate) duration: Duration,
    /// The mean pause between two actions of a client, in milliseconds.
    pub(crate) pause: u64,
    /// The mean pause between two faults, in milliseconds.
    pub(crate) peace: u64,
    /// How many requests to the store get lost, or their answers, in percent each.
    pub(crate) loss: u64,
    /// How far the clocks of nodes are off, at most, in milliseconds.
    pub(crate) skew: u64,
    /// Whether the store lets go of old events.
    pub(crate) prunes: bool,
    /// Whether a node forgets what it could still need: then gaps are honest at any time.
    pub(crate) forgetful: bool,
    pub(crate) timeline: TimelineLimits,
    /// How many events may wait for one client.
    pub(crate) send_buffer: usize,
}

impl Plan {
    pub(crate) fn draw(random: &Random) -> Self {
        let forgetful = random.chance(40);
        let timeline = if forgetful {
            TimelineLimits {
                age: random.millis(100..=5000),
                events: random.size(0..=40),
                // From a handful of events up.
                bytes: random.size(3_000..=60_000),
            }
        } else {
            TimelineLimits { age: Duration::from_secs(3600), events: 100_000, bytes: usize::MAX }
        };
        Self {
            nodes: random.size(1..=4),
            clients: random.size(2..=8),
            users: random.size(1..=4),
            duration: random.millis(5_000..=30_000),
            pause: *random.pick(&[20, 100, 300, 2000]),
            peace: *random.pick(&[500, 1500, 4000]),
            loss: *random.pick(&[0, 0, 1, 5]),
            skew: *random.pick(&[0, 100, 10_000, JumpingClock::FAR]),
            prunes: random.chance(50),
            forgetful,
            timeline,
            send_buffer: random.size(1..=8),
        }
    }
}
