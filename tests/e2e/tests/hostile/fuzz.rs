//! Nonsense of all kinds, in the short form (`just hostile fuzz` is the long one).

use std::{env, time::SystemTime};

use game_realtime_e2e::fuzz;

const INPUTS: usize = 4000;
/// What one node may take more than before, in KiB.
const MEMORY: u64 = 200 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_at_every_layer_harms_nobody_and_leaves_nothing_behind() {
    let named = env::var("GAME_REALTIME_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = named.unwrap_or_else(random_seed);
    eprintln!("fuzz: GAME_REALTIME_FUZZ_SEED={seed} sends the same again");
    let fuzzed = fuzz(seed, INPUTS).await;
    eprintln!("fuzz: {fuzzed:?}");
    assert!(fuzzed.tally.inputs >= INPUTS);
    // It reaches what it is meant for.
    assert!(
        fuzzed.tally.closed > INPUTS / 100 && fuzzed.tally.answered > INPUTS / 100,
        "{fuzzed:?}"
    );
    assert!(fuzzed.stored > fuzzed.acknowledged, "some of it was well-formed: {fuzzed:?}");
    let (before, most) = fuzzed.memory;
    assert!(most < before + MEMORY, "{fuzzed:?}");
}

fn random_seed() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(now.as_nanos() % u128::from(u64::MAX)).unwrap()
}
