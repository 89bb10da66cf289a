//! What group commit gains: events through the event repository on etcd, beside the same bytes as
//! single puts through the same client library, on one etcd in one run.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark: what cannot go on ends the program, and the result goes to stdout"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use etcd_client::{Client, GetOptions, KvClient};
use game_realtime_application::{NewEvent, ports::EventRepository};
use game_realtime_bench::{
    rounds,
    statistics::{Summary, percentile, ratio},
    table,
};
use game_realtime_contract::{ConnectionBuilder, EventBuilder, WallClock, request_id, unique_id};
use game_realtime_domain::{EventId, NodeId};
use game_realtime_e2e::Etcd;
use game_realtime_etcd_adapter::{Config, EtcdStore, Options, TlsConfig};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

// What the gateway allocates with is also what both sides here allocate with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(1);
const IN_FLIGHT: usize = 512;
/// Bytes of an event's payload.
const PAYLOAD: usize = 256;
/// Events per second in those of single puts, at least.
const GOAL: f64 = 3.0;
const PREFIX: &str = "/bench";

/// One thing that is measured.
#[derive(Clone)]
enum Work {
    /// Events like this one, each with a `request_id` of its own if this one has one.
    Append { events: Arc<dyn EventRepository>, like: Box<NewEvent>, next: Arc<AtomicU64> },
    /// Keys and values of an event's size.
    Put { client: Box<KvClient>, sizes: Sizes, next: Arc<AtomicU64> },
}

/// How large an event is in etcd.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    key: usize,
    value: usize,
}

/// What the rounds have shown.
#[derive(Default)]
struct Measured {
    per_second: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    done: usize,
}

#[tokio::main]
async fn main() {
    let rounds = rounds(ROUNDS);
    let etcd = Etcd::start().await;
    let client = Client::connect([etcd.endpoint()], None).await.expect("etcd takes clients");
    let store = store(&etcd);

    let append =
        |like| Work::Append { events: store.events(), like: Box::new(like), next: Arc::default() };
    let events = append(event());
    let mut committed = run(&events, WARM_UP).await.len();
    let sizes = sizes(&client).await;
    let put = Work::Put { client: Box::new(client.kv_client()), sizes, next: Arc::default() };
    run(&put, WARM_UP).await;

    let works = [events, put, append(event_with_request_id())];
    let mut measured = [(); 3].map(|()| Measured::default());
    for round in 1..=rounds {
        for (work, measured) in works.iter().zip(&mut measured) {
            measured.add(run(work, ROUND).await);
        }
        eprintln!("round {round} of {rounds}");
    }
    let [events, _, with_request_id] = &measured;
    committed += events.done + with_request_id.done;
    assert_eq!(count(&client).await, committed, "every acknowledged event is in etcd, no other");
    store.close().await;
    report(&measured, sizes, rounds);
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
        tls: TlsConfig::default(),
    };
    let options = Options {
        node_id: NodeId(unique_id()),
        idempotency_window: Duration::from_secs(24 * 3600),
    };
    EtcdStore::start(&config, options, Arc::new(WallClock)).expect("no files to read")
}

fn event() -> NewEvent {
    let around = r#"{"message":""}"#.len();
    sender().broadcast(&"m".repeat(PAYLOAD - around))
}

fn event_with_request_id() -> NewEvent {
    let receipt = sender().request("request").broadcast("").receipt;
    NewEvent { receipt, ..event() }
}

fn sender() -> EventBuilder {
    EventBuilder::from(&ConnectionBuilder::player("player").build())
}

/// How large the key and the value of an event have turned out.
async fn sizes(client: &Client) -> Sizes {
    let options = GetOptions::new().with_prefix().with_limit(1);
    let found = client.kv_client().get(events_prefix(), Some(options)).await.expect("etcd answers");
    let pair = found.kvs().first().expect("an event was appended");
    Sizes { key: pair.key().len(), value: pair.value().len() }
}

/// How many events are in etcd.
async fn count(client: &Client) -> usize {
    let options = GetOptions::new().with_prefix().with_count_only();
    let found = client.kv_client().get(events_prefix(), Some(options)).await.expect("etcd answers");
    usize::try_from(found.count()).expect("a count")
}

fn events_prefix() -> String {
    format!("{PREFIX}/events/")
}

/// Does something for a while, always so many at once. Returns how long each took, in
/// milliseconds.
async fn run(work: &Work, time: Duration) -> Vec<f64> {
    let stop = Instant::now() + time;
    let mut workers = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let mut work = work.clone();
        workers.spawn(async move {
            let mut milliseconds = Vec::new();
            loop {
                let started = Instant::now();
                if started >= stop {
                    return milliseconds;
                }
                work.step().await;
                milliseconds.push(started.elapsed().as_secs_f64() * 1000.0);
            }
        });
    }
    workers.join_all().await.concat()
}

impl Work {
    async fn step(&mut self) {
        match self {
            Self::Append { events, like, next } => {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let mut event = NewEvent::clone(like);
                event.event.id = EventId(Uuid::from_u128(number.into()));
                if let Some(receipt) = &mut event.receipt {
                    receipt.request_id = request_id(&number.to_string());
                }
                events.append(event).await.expect("the event is committed");
            }
            Self::Put { client, sizes, next } => {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let width = sizes.key - "/put/".len();
                let (key, value) = (format!("/put/{number:0width$}"), vec![b'v'; sizes.value]);
                client.put(key, value, None).await.expect("the put is committed");
            }
        }
    }
}

impl Measured {
    fn add(&mut self, mut milliseconds: Vec<f64>) {
        milliseconds.sort_by(f64::total_cmp);
        self.done += milliseconds.len();
        #[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
        self.per_second.push(milliseconds.len() as f64 / ROUND.as_secs_f64());
        self.p50.push(percentile(&milliseconds, 50));
        self.p99.push(percentile(&milliseconds, 99));
    }
}

fn report(measured: &[Measured; 3], sizes: Sizes, rounds: usize) {
    println!(
        "{IN_FLIGHT} in flight, payloads of {PAYLOAD} bytes (in etcd: key {} bytes, value {}), \
         {rounds} alternating rounds of {} s.\n",
        sizes.key,
        sizes.value,
        ROUND.as_secs()
    );
    let [events, puts, _] = measured;
    let names = ["events", "single puts of the same bytes", "events with a `request_id`"];
    let rows: Vec<_> = names
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
        &format!("at least {GOAL} times the events of single puts per second"),
        ratio(&events.per_second, &puts.per_second).median >= GOAL,
    );
    table::goal(
        "lower median latency than single puts",
        ratio(&events.p50, &puts.p50).median < 1.0,
    );
}
