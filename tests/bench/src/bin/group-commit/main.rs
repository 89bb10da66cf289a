//! What group commit gains: events through the event repository on etcd, beside the same bytes as
//! single puts through the same client library, on one etcd in one run.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark: what cannot go on ends the program, and the result goes to stdout"
)]

mod work;

use std::{sync::Arc, time::Duration};

use bytesize::ByteSize;
use etcd_client::Client;
use game_realtime_application::{RetentionPolicy, panics::Watchdog};
use game_realtime_bench::{
    rounds,
    statistics::{Summary, percentile, ratio},
    table,
};
use game_realtime_contract::{WallClock, keeping, unique_id};
use game_realtime_domain::NodeId;
use game_realtime_e2e::Etcd;
use game_realtime_etcd_adapter::{Config, EtcdStore, Options, TlsConfig};

use crate::work::{IN_FLIGHT, PAYLOAD, PREFIX, Sizes, Work, count, run, sizes};

const ROUNDS: usize = 11;
/// How long each work is measured in a round. Short, so that a disturbance from outside falls on
/// all that are compared.
const ROUND: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(500);
/// Events per second in those of single puts, at least.
const GOAL: f64 = 3.0;

/// What is compared, in the order of the table.
const NAMES: [&str; 3] = ["events", "single puts of the same bytes", "events with a `request_id`"];

/// What the rounds of one work have shown.
#[derive(Default)]
struct Measured {
    per_second: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

#[tokio::main]
async fn main() {
    let rounds = rounds(ROUNDS);
    let mut measured = NAMES.map(|_| Measured::default());
    let mut stored = None;
    for round in 1..=rounds {
        stored = Some(measure(round, &mut measured).await);
        eprintln!("round {round} of {rounds}");
    }
    report(&measured, stored.expect("at least one round"), rounds);
}

/// Measures all works on a fresh etcd: it gets slower as it fills up.
async fn measure(round: usize, measured: &mut [Measured; 3]) -> Sizes {
    let etcd = Etcd::start().await;
    let client = Client::connect([etcd.endpoint()], None).await.expect("etcd takes clients");
    let store = store(&etcd);

    let events = Work::events(store.events());
    let mut committed = run(&events, WARM_UP).await.len();
    let sizes = sizes(&client).await;
    let puts = Work::puts(&client, sizes);
    run(&puts, WARM_UP).await;
    let with_request_id = Work::events_with_request_id(store.events());
    committed += run(&with_request_id, WARM_UP).await.len();

    let mut works: Vec<_> = [events, puts, with_request_id].into_iter().zip(measured).collect();
    if round.is_multiple_of(2) {
        works.reverse();
    }
    for (work, measured) in works {
        let milliseconds = run(&work, ROUND).await;
        committed += if work.is_put() { 0 } else { milliseconds.len() };
        measured.add(milliseconds);
    }
    assert_eq!(count(&client).await, committed, "etcd has the acknowledged events and no other");
    store.close().await;
    sizes
}

fn store(etcd: &Etcd) -> EtcdStore {
    let config = Config {
        endpoints: vec![etcd.endpoint()],
        dial_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(3),
        username: String::new(),
        password: String::new().into(),
        prefix: PREFIX.to_owned(),
        lease_ttl: Duration::from_secs(10),
        isolation_grace: Duration::from_secs(60),
        space_budget: ByteSize::gib(1),
        compaction_interval: Duration::ZERO,
        tls: TlsConfig::default(),
    };
    let options = Options {
        node_id: NodeId(unique_id()),
        retention: RetentionPolicy {
            replay_window: Duration::from_secs(600),
            ..keeping(Duration::from_secs(24 * 3600), 10_000, Duration::from_secs(24 * 3600))
        },
    };
    EtcdStore::start(&config, options, Arc::new(WallClock), &Watchdog::new())
        .expect("no files to read")
}

impl Measured {
    fn add(&mut self, mut milliseconds: Vec<f64>) {
        milliseconds.sort_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
        self.per_second.push(milliseconds.len() as f64 / ROUND.as_secs_f64());
        self.p50.push(percentile(&milliseconds, 50));
        self.p99.push(percentile(&milliseconds, 99));
    }
}

fn report(measured: &[Measured; 3], sizes: Sizes, rounds: usize) {
    println!(
        "{IN_FLIGHT} in flight, payloads of {PAYLOAD} bytes (in etcd: key {} bytes, value {}), \
         {rounds} alternating rounds of {} s each.\n",
        sizes.key,
        sizes.value,
        ROUND.as_secs()
    );
    let [events, puts, _] = measured;
    let rows: Vec<_> = NAMES
        .into_iter()
        .zip(measured)
        .map(|(name, measured)| {
            vec![
                name.to_owned(),
                format!("{:.0}", Summary::of(measured.per_second.iter().copied())),
                format!("{:.2}", ratio(&measured.per_second, &puts.per_second)),
                format!("{:.1}", Summary::of(measured.p50.iter().copied())),
                format!("{:.1}", Summary::of(measured.p99.iter().copied())),
            ]
        })
        .collect();
    table::print(
        &[
            "what",
            "acknowledged per second: median (min to max)",
            "of single puts in the same round",
            "ms p50",
            "ms p99",
        ],
        &rows,
    );
    table::goal(
        &format!("at least {GOAL} times as many events per second as single puts"),
        ratio(&events.per_second, &puts.per_second).median >= GOAL,
    );
    table::goal(
        "a lower median latency than that of single puts",
        ratio(&events.p50, &puts.p50).median < 1.0,
    );
}
