//! What goes wrong, at random.

use std::sync::Arc;

use game_realtime_application::ports::KickOrders;
use game_realtime_domain::Recipient;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    client::user,
    node::Node,
    world::{World, note},
};

/// Makes trouble until the planned time is over.
pub(crate) async fn run(world: &Arc<World>) {
    let until = Instant::now() + world.plan.duration;
    let random = world.random.fork();
    while Instant::now() < until {
        sleep(random.millis(0..=2 * world.plan.peace)).await;
        let nodes = world.nodes();
        if nodes.is_empty() {
            continue;
        }
        let node = Arc::clone(random.pick(&nodes));
        let world = Arc::clone(world);
        match random.below(12) {
            0 => {
                world.tally.count("nodes died");
                node.crash();
                let later = random.millis(0..=5000);
                start_later(world, later);
            }
            1 => {
                world.tally.count("nodes drained");
                let later = random.millis(0..=5000);
                tokio::spawn(async move { node.drain().await });
                start_later(world, later);
            }
            2 | 3 => {
                note!(world, "the feed of {} breaks", node.id);
                world.tally.count("feeds broken");
                node.link.break_feed();
            }
            4 | 5 => {
                note!(world, "{} is cut off", node.id);
                world.tally.count("nodes cut off");
                let duration = random.millis(100..=9000);
                node.link.set_cut(true);
                tokio::spawn(async move {
                    sleep(duration).await;
                    note!(world, "{} is back", node.id);
                    node.link.set_cut(false);
                });
            }
            6 => {
                note!(world, "{} loses its lease", node.id);
                world.tally.count("leases lost");
                node.link.lose_lease();
            }
            7 | 8 if world.plan.prunes => {
                let mut state = world.store.state();
                let most = state.log.len();
                let pruned = random.below(most + 1).max(state.pruned);
                state.pruned = pruned;
                drop(state);
                world.tally.count("histories pruned");
                note!(world, "{pruned} events are let go of");
            }
            9 => {
                world.tally.count("records that cannot be read");
                note!(world, "a record comes that nobody can read");
                let id = Uuid::from_u64_pair(random.next(), random.next());
                world.store.transaction().append_unreadable(id);
            }
            10 => {
                let target = match world.validator.some_connection(&random) {
                    Some(id) if random.chance(30) => Recipient::Connection(id),
                    Some(_) | None => Recipient::User(user(random.below(world.plan.users))),
                };
                tokio::spawn(async move { kick(&world, &node, target).await });
            }
            _ => {
                world.tally.count("clocks set");
                node.clock.jump(&random);
            }
        }
    }
}

/// An operator ends connections.
async fn kick(world: &World, node: &Node, target: Recipient) {
    note!(world, "{target:?} is to be kicked, by {}", node.id);
    let number = world.validator.ordering(target.clone());
    match node.stop.run_until_cancelled(node.link.give(&target)).await {
        Some(Ok(_)) => {
            world.tally.count("kicks ordered");
            world.validator.ordered(number);
        }
        Some(Err(_)) | None => world.tally.count("kicks without an answer"),
    }
}

fn start_later(world: Arc<World>, later: std::time::Duration) {
    tokio::spawn(async move {
        sleep(later).await;
        Node::start(&world);
    });
}
