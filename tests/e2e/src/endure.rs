//! Runs the gateway flat out for as long as wanted, breaks it now and then, and says whether it could
//! go on like that for ever: nothing lost, no refusal, a store that stays within its budget, memory that
//! is flat, nodes that are ready at once, and latencies that stay what they were.
//!
//! One thread per namespace drives many clients and checks what they receive as it arrives
//! (`crowd.rs`, `ledger.rs`), in memory that does not grow with the run; meanwhile `faults.rs` breaks
//! something every few minutes, and `sampler.rs` measures. `outcome.rs` judges.

mod breaches;
mod calm;
mod crowd;
mod faults;
mod fleet;
mod ledger;
mod member;
mod outcome;
mod plan;
mod plot;
mod report;
mod sampler;
mod tally;
mod watch;
mod wire;

use std::{
    collections::BTreeMap,
    mem,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use game_realtime_loadgen::{
    clock::{Clock, seconds},
    credentials::{Minting, anonymous, mint},
};
use tokio::time::{Instant, sleep, sleep_until};

pub use breaches::{Breach, Breaches};
pub use outcome::{Check, Outcome};
pub use plan::{EndureStore, Plan};
pub use sampler::Sample;
pub use tally::{Latencies, Tally};

use crate::SECRET;
use calm::Calm;
use crowd::{Crowd, CrowdEnd, CrowdOptions};
use fleet::Fleet;
use sampler::Sampler;
use tally::Spans;
use watch::Shared;

/// How many bytes of budget an event may take at most, receipts, keys and pruning in steps included:
/// fewer events than that are certainly held.
const MOST_BYTES_PER_EVENT: u64 = 4096;
/// The gateway's own `events.replay_bytes`.
const REPLAY_BYTES: u64 = 128 << 20;
/// How long something is broken, as a rule.
const REPAIR: Duration = Duration::from_secs(5);
/// How long a crowd may take to end.
const END_LIMIT: Duration = Duration::from_secs(300);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Does what the plan says. Progress goes to `tell`.
///
/// # Panics
/// When something cannot be started, or a node is not ready within three minutes.
pub async fn endure(plan: Plan, tell: impl Fn(String)) -> Outcome {
    let mut fleet = Fleet::start(&plan).await;
    let clock = Clock::start();
    let held = plan.budget_bytes().unwrap_or(u64::MAX).min(REPLAY_BYTES);
    let shared = Shared {
        clock,
        calm: Calm::new(clock),
        tally: Arc::default(),
        committed: Arc::new(AtomicU64::new(0)),
        held_for_sure: held / MOST_BYTES_PER_EVENT,
    };
    shared.tally().set_spans(Spans::new(clock.now(), plan.duration, plan.compared_span()));
    let stop = Stop(Arc::new(AtomicBool::new(false)));
    let crowds = start_crowds(&plan, &fleet, &shared, &stop);
    let sampler = Sampler::start(shared.clone(), fleet.targets.clone(), plan.sample_interval);
    let faults = break_things(&plan, &mut fleet, &shared, &tell).await;
    let took = seconds(clock.now());
    stop.now();
    tell("no more events; waiting for the last to arrive everywhere".to_owned());
    let samples = sampler.samples();
    let end = join(crowds).await;
    let is_full = sampler.is_full.load(Ordering::Relaxed);
    drop(sampler);
    let tally = mem::take(&mut *shared.tally());
    Outcome {
        plan,
        seconds: took,
        samples,
        tally,
        breaches: end.breaches,
        unknown: end.unknown,
        starts: mem::take(&mut fleet.starts),
        faults,
        is_full,
    }
}

/// Tells the crowds to end when it is dropped.
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.now();
    }
}

fn start_crowds(
    plan: &Plan,
    fleet: &Fleet,
    shared: &Shared,
    stop: &Stop,
) -> Vec<JoinHandle<CrowdEnd>> {
    let nodes = plan.nodes();
    let (players, guests) = ((plan.players_per_node + 1) * nodes, plan.guests_per_node * nodes);
    let minting = Minting { secret: SECRET.to_owned(), issuer: None, audience: None };
    let crowds = [
        ("private", mint("player-", players, &minting).expect("tokens can be signed"), nodes),
        ("guest", anonymous("guest-", guests), 0),
    ];
    let start = |(namespace, credentials, quiet)| {
        let options = CrowdOptions {
            namespace,
            nodes: fleet
                .ports()
                .into_iter()
                .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
                .collect(),
            credentials,
            quiet,
            in_flight: plan.in_flight,
            shared: shared.clone(),
            stop: Arc::clone(&stop.0),
        };
        thread::spawn(move || Crowd::new(options).run())
    };
    crowds.into_iter().map(start).collect()
}

/// Breaks something every now and then until the time is over. Returns how often what.
async fn break_things(
    plan: &Plan,
    fleet: &mut Fleet,
    shared: &Shared,
    tell: &impl Fn(String),
) -> BTreeMap<String, usize> {
    let begin = Instant::now();
    let end = begin + plan.duration;
    let mut faults = BTreeMap::new();
    for number in 0.. {
        // The last part is calm: it is compared with the first.
        let next = begin + plan.fault_interval * (number + 1);
        if next + REPAIR + calm::SETTLING + plan.compared_span() > end {
            break;
        }
        sleep_until(next).await;
        let at = begin.elapsed().as_secs_f64();
        let has_etcd = plan.store == EndureStore::Etcd;
        let number = usize::try_from(number).unwrap_or_default();
        let what = faults::happen(number, fleet, &shared.calm, has_etcd).await;
        let name = what.split(';').next().unwrap_or_default();
        let name = name.split(' ').filter(|word| word.parse::<u32>().is_err());
        *faults.entry(name.collect::<Vec<_>>().join(" ")).or_default() += 1;
        let committed = shared.committed.load(Ordering::Relaxed);
        tell(format!("{at:7.1} s: {what}; {committed} events"));
    }
    sleep_until(end).await;
    faults
}

async fn join(crowds: Vec<JoinHandle<CrowdEnd>>) -> CrowdEnd {
    let begin = Instant::now();
    let mut all = CrowdEnd::default();
    for crowd in crowds {
        while !crowd.is_finished() {
            assert!(begin.elapsed() < END_LIMIT, "a crowd does not end");
            sleep(POLL_INTERVAL).await;
        }
        let end = crowd.join().expect("no crowd panics");
        all.breaches.merge(end.breaches);
        all.unknown += end.unknown;
    }
    all
}
