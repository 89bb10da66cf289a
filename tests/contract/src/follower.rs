//! Reads a feed and checks, with every update, what holds for all of them.

use std::{sync::Arc, time::Duration};

use game_realtime_application::{
    PositionedEvent, TimelineLimits,
    ports::{EventFeed, FeedStream, FeedUpdate},
};
use game_realtime_domain::{Epoch, EventId, Position};

/// What reaches back further than any store.
pub const EVERYTHING: TimelineLimits = at_least(Duration::from_secs(1000 * 365 * 24 * 3600), 0);

/// Limits that keep events younger than `age` and at least `events` of them, without a bound in bytes.
#[must_use]
pub const fn at_least(age: Duration, events: usize) -> TimelineLimits {
    TimelineLimits { age, events, bytes: usize::MAX }
}

/// An open feed under test.
pub struct Follower {
    stream: Box<dyn FeedStream>,
    head: Position,
}

impl Follower {
    /// Follows `feed` from `after`.
    ///
    /// # Panics
    /// When the feed cannot be followed.
    pub async fn open(feed: &Arc<dyn EventFeed>, epoch: &Epoch, after: Position) -> Self {
        let stream = feed.follow(epoch, after).await.expect("the feed can be followed");
        Self { stream, head: after }
    }

    /// The next update, if it comes while `limit` lasts. Giving up drops the future of `next`.
    ///
    /// # Panics
    /// When the feed ends or contradicts what it said before.
    pub async fn try_update(&mut self, limit: Duration) -> Option<FeedUpdate> {
        let update = tokio::time::timeout(limit, self.stream.next()).await.ok()?;
        let update = update.expect("the feed goes on");
        self.check(&update);
        Some(update)
    }

    /// The next update.
    ///
    /// # Panics
    /// When the feed ends or contradicts what it said before.
    pub async fn update(&mut self) -> FeedUpdate {
        let update = self.stream.next().await.expect("the feed goes on");
        self.check(&update);
        update
    }

    /// The next `count` events, and whatever came with the last of them.
    pub async fn events(&mut self, count: usize) -> Vec<PositionedEvent> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.update().await.events);
        }
        events
    }

    /// All events up to and with `last`, which has to be the newest one.
    ///
    /// # Panics
    /// When something follows it.
    pub async fn events_until(&mut self, last: EventId) -> Vec<PositionedEvent> {
        let mut events: Vec<PositionedEvent> = Vec::new();
        while events.iter().all(|event| event.event.id != last) {
            events.extend(self.update().await.events);
        }
        assert_eq!(events.last().map(|event| event.event.id), Some(last), "nothing comes after");
        events
    }

    /// Everything up to here has been seen.
    #[must_use]
    pub fn head(&self) -> Position {
        self.head
    }

    fn check(&mut self, update: &FeedUpdate) {
        for event in &update.events {
            assert!(event.position > self.head, "{} comes after {}", event.position, self.head);
            self.head = event.position;
        }
        assert!(update.head >= self.head, "the head {} is at least {}", update.head, self.head);
        self.head = update.head;
    }
}
