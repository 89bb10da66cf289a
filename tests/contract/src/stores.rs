//! The fixture of every suite: one fresh, empty store, seen through its ports.

use std::{any::Any, sync::Arc, time::Duration};

use game_realtime_application::{
    ClassRetention, NewEvent, RetentionPolicy,
    ports::{
        Appended, ConnectionRepository, EventFeed, EventRepository, History, KickOrders,
        StoreHealth,
    },
};
use game_realtime_domain::Connection;

use crate::{Follower, follower::EVERYTHING};

/// Keeps events of both classes equally long, and as many of the newest whatever their age.
#[must_use]
pub const fn keeping(events: Duration, at_least: usize, receipts: Duration) -> RetentionPolicy {
    let class = ClassRetention { events, receipts };
    RetentionPolicy {
        replay_window: Duration::ZERO,
        replay_events: at_least,
        state: class,
        purchases: class,
    }
}

/// A store under test. Fields are dropped in order: the guard goes last.
pub struct Stores {
    /// Its event log.
    pub events: Arc<dyn EventRepository>,
    /// Its feed.
    pub feed: Arc<dyn EventFeed>,
    /// Its registry.
    pub connections: Arc<dyn ConnectionRepository>,
    /// Its health.
    pub health: Arc<dyn StoreHealth>,
    /// Its kick orders.
    pub kicks: Arc<dyn KickOrders>,
    /// Whatever has to live as long as the store: a directory, a process.
    pub guard: Box<dyn Any + Send>,
}

impl Stores {
    /// Appends an event that has to be accepted.
    pub async fn append(&self, event: NewEvent) -> Appended {
        self.events.append(event).await.expect("the event is appended")
    }

    /// Registers a connection, which has to succeed.
    pub async fn save(&self, connection: &Connection) {
        self.connections.save(connection).await.expect("the connection is saved");
    }

    /// Removes a connection, which has to succeed.
    pub async fn delete(&self, connection: &Connection) {
        self.connections.delete(connection).await.expect("the connection is deleted");
    }

    /// Everything the feed remembers.
    pub async fn history(&self) -> History {
        self.feed.recent(EVERYTHING).await.expect("the feed answers")
    }

    /// Follows the feed from its present head.
    pub async fn follow(&self) -> Follower {
        let history = self.history().await;
        Follower::open(&self.feed, &history.epoch, history.head).await
    }
}
