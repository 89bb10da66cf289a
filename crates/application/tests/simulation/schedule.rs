//! One schedule: everything that happens for one seed.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Builder, time::sleep};

use crate::{client::Client, node::Node, tally::Tally, trouble, world::World};

/// How long everything may take to settle once the trouble is over.
const PATIENCE: Duration = Duration::from_secs(120);
/// What is left to happen then: leases of the dead expire, leftovers go, the last events arrive.
const AFTERWARDS: Duration = Duration::from_secs(25);

pub(crate) struct Outcome {
    pub(crate) violations: Vec<String>,
    pub(crate) tally: Tally,
    /// Of everything that happened.
    pub(crate) digest: u64,
    /// Everything that happened, if it was to be kept.
    pub(crate) lines: Vec<String>,
}

/// Runs the schedule of a seed, in a time of its own.
pub(crate) fn run(seed: u64, keep_trace: bool) -> Outcome {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let world = runtime.block_on(simulate(seed, keep_trace));
    // Ends all tasks. The nodes know the world, so the world has to let go of them.
    drop(runtime);
    world.clear();
    Outcome {
        violations: world.violations(),
        digest: world.trace.digest(),
        lines: world.trace.take_lines(),
        tally: world.tally.take(),
    }
}

async fn simulate(seed: u64, keep_trace: bool) -> Arc<World> {
    let world = World::new(seed, keep_trace);
    for _ in 0..world.plan.nodes {
        Node::start(&world);
    }
    let clients: Vec<_> =
        (0..world.plan.clients).map(|number| Client::new(&world, number)).collect();
    for client in &clients {
        tokio::spawn(Arc::clone(client).run());
    }
    trouble::run(&world).await;
    world.settle();
    let settled = async {
        while !clients.iter().all(|client| client.memory.is_settled()) {
            sleep(Duration::from_millis(500)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, settled).await.is_err() {
        world.violated("not everybody came to rest".into());
    }
    sleep(AFTERWARDS).await;
    match world.nodes().first() {
        Some(node) => world.validator.finally(&world, node).await,
        None => world.violated("no node is left".into()),
    }
    world
}
