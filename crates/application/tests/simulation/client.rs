//! One client: connects, sends, reads or stalls, goes away, comes back with what it remembers.

mod memory;
mod visit;

use std::{sync::Arc, time::Duration};

use game_realtime_domain::{Namespace, UserId};
use tokio::time::sleep;

use crate::{random::Random, world::World};
pub(crate) use memory::{Memory, Resumed};

pub(crate) struct Client {
    world: Arc<World>,
    random: Random,
    pub(crate) number: usize,
    pub(crate) namespace: Namespace,
    user: Option<UserId>,
    pub(crate) memory: Memory,
}

impl Client {
    pub(crate) fn new(world: &Arc<World>, number: usize) -> Arc<Self> {
        let random = world.random.fork();
        let user = (!random.chance(30)).then(|| user(number % world.plan.users));
        let namespace = if user.is_some() { Namespace::Private } else { Namespace::Guest };
        let memory = Memory::default();
        Arc::new(Self { world: Arc::clone(world), random, number, namespace, user, memory })
    }

    /// Comes and goes for as long as the simulation lasts.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let nodes = self.world.nodes();
            if !nodes.is_empty() {
                self.visit(self.random.pick(&nodes)).await;
            }
            // Some come back at once.
            let away = *self.random.pick(&[0, 100, 3000]);
            let away = if self.world.is_settling() { 100 } else { away };
            sleep(self.random.millis(0..=away)).await;
        }
    }

    /// How long until it does something.
    fn pause(&self) -> Duration {
        self.random.millis(0..=2 * self.world.plan.pause)
    }
}

pub(crate) fn user(number: usize) -> UserId {
    UserId::parse(format!("player-{number}")).unwrap()
}
