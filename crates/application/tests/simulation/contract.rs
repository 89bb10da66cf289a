//! The simulated store, left in peace, keeps the contract that the real ones have to keep: what
//! the simulation proves is not proven against a store that nobody has.

use std::sync::Arc;

use async_trait::async_trait;
use game_realtime_application::ports::{StoreError, StoreHealth};
use game_realtime_contract::{Stores, WallClock};
use game_realtime_domain::NodeId;
use uuid::Uuid;

use crate::{
    store::{Feed, Link},
    world::World,
};

struct Healthy;

#[async_trait]
impl StoreHealth for Healthy {
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

async fn stores() -> Stores {
    let world = World::new(1, false);
    world.settle();
    let link = Link::new(&world, NodeId(Uuid::nil()));
    tokio::spawn(Arc::clone(&link).run_writer());
    tokio::spawn(Arc::clone(&link).run_keeper());
    Stores {
        events: Arc::clone(&link) as _,
        feed: Arc::new(Feed { link: Arc::clone(&link), clock: Arc::new(WallClock) }),
        health: Arc::new(Healthy),
        kicks: Arc::clone(&link) as _,
        connections: link,
        guard: Box::new(()),
    }
}

game_realtime_contract::contract!(stores().await);
