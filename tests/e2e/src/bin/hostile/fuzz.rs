//! Nonsense at every layer: the long form of what the hostile tests do in short.

use std::hash::{BuildHasher, RandomState};

use game_realtime_e2e::fuzz;

const INPUTS: usize = 200_000;
/// What the node may take more than before, in KiB.
const MEMORY: u64 = 200 * 1024;

/// `numbers` are inputs and seed, if they are named.
pub(crate) async fn run(numbers: &[u64]) -> bool {
    let inputs = numbers.first().and_then(|inputs| usize::try_from(*inputs).ok());
    let inputs = inputs.unwrap_or(INPUTS);
    // A fresh RandomState is seeded differently in every process.
    let seed = numbers.get(1).copied().unwrap_or_else(|| RandomState::new().hash_one(()));
    println!("fuzz: {inputs} inputs, seed {seed} (just hostile fuzz {inputs} {seed})");
    let fuzzed = fuzz(seed, inputs).await;
    let (tally, (before, most)) = (&fuzzed.tally, fuzzed.memory);
    println!(
        "fuzz: {} inputs over {} connections in {:.0?}: {} answered, {} closed the connection, {} not let in; \
         {} events stored, {} of them acknowledged to stock clients, who noticed nothing; \
         {} MiB before, at most {} MiB",
        tally.inputs,
        tally.visits,
        fuzzed.took,
        tally.answered,
        tally.closed,
        tally.refused,
        fuzzed.stored,
        fuzzed.acknowledged,
        before / 1024,
        most / 1024,
    );
    most < before + MEMORY
}
