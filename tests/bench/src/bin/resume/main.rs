//! What coming back costs: one client that missed much, and a thousand clients at once, while
//! others play on. On a real etcd, to show that none of them makes the store be read.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark: what cannot go on ends the program, and the result goes to stdout"
)]

mod client;

use std::{
    collections::VecDeque,
    env,
    future::pending,
    io::{self, BufRead as _, BufReader},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use game_realtime_bench::{
    process::{CLIENTS_CORE, Process, bind_self},
    rounds,
    server::Server,
    statistics::{Summary, percentile, ratio},
    table,
};
use game_realtime_e2e::{Etcd, get, mint};
use game_realtime_loadgen::open_files;
use tokio::{
    runtime,
    task::{self, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use crate::client::Client;

const ROUNDS: usize = 5;
/// Events that one client missed.
const MISSED: usize = 10_000;
/// How long it may take to get them.
const GOAL: Duration = Duration::from_secs(2);
/// Clients that come back at once...
const RETURNING: u32 = 1000;
/// ...each having missed so many events.
const MISSED_BY_EACH: usize = 1000;
/// How often the player who stayed buys something.
const PACE: Duration = Duration::from_millis(4);
/// How long that is watched before anybody returns.
const CALM: Duration = Duration::from_secs(5);
/// The 99th percentile of that player's latency in that of the calm, at most.
const DISTURBANCE: f64 = 2.0;
/// Events on their way while the log is filled.
const PIPELINED: usize = 100;
/// What the process of those who return says once all have everything.
const RETURNED: &str = "returned";
const PATIENCE: Duration = Duration::from_secs(120);

struct Measured {
    one: Vec<f64>,
    storm: Vec<f64>,
    calm_p99: Vec<f64>,
    storm_p99: Vec<f64>,
    reads: Vec<f64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    open_files::allow(RETURNING).expect("a file for every client");
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [port, cursor] = arguments.as_slice() {
        crowd(port.parse().expect("a port"), cursor).await;
    }
    // With etcd and those who play: the server has its core to itself, as on a machine of its own.
    bind_self(CLIENTS_CORE);
    let rounds = rounds(ROUNDS);
    let mut measured = Measured {
        one: Vec::new(),
        storm: Vec::new(),
        calm_p99: Vec::new(),
        storm_p99: Vec::new(),
        reads: Vec::new(),
    };
    for round in 1..=rounds {
        timeout(PATIENCE, measure(&mut measured)).await.expect("in time").expect("connected");
        eprintln!("round {round} of {rounds}");
    }
    report(&measured, rounds);
}

async fn measure(measured: &mut Measured) -> io::Result<()> {
    let etcd = Etcd::start().await;
    let server = Server::start_on_etcd(&etcd.endpoint());
    let port = server.port;
    let (from_start, from_late) = fill(port).await?;

    let started = Instant::now();
    catch_up(port, "returning", &from_start, MISSED).await?;
    measured.one.push(started.elapsed().as_secs_f64() * 1000.0);

    let calm = Player::start(port, "who is there in the calm");
    sleep(CALM).await;
    measured.calm_p99.push(p99(calm.stop()));

    let player = Player::start(port, "who stayed");
    let reads_before = ranges(&etcd).await;
    let mut crowd = Process::start_humble("resume", CLIENTS_CORE, |command| {
        command.args([&port.to_string(), &from_late]).stdout(Stdio::piped());
    });
    let started = Instant::now();
    let (crowd, said) = task::spawn_blocking(move || {
        let mut said = String::new();
        let stdout = crowd.child().stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut said).map(|_| (crowd, said))
    })
    .await??;
    assert_eq!(said.trim_end(), RETURNED, "see above why");
    measured.storm.push(started.elapsed().as_secs_f64() * 1000.0);
    measured.storm_p99.push(p99(player.stop()));
    measured.reads.push(ranges(&etcd).await - reads_before);
    drop(crowd);
    Ok(())
}

/// All who return, and stay, in a process that gets what time the others leave: in reality they have
/// machines of their own.
async fn crowd(port: u16, cursor: &str) -> ! {
    let mut crowd = JoinSet::new();
    for number in 0..RETURNING {
        let cursor = cursor.to_owned();
        crowd.spawn(async move {
            catch_up(port, &format!("player {number}"), &cursor, MISSED_BY_EACH).await
        });
    }
    let mut there = Vec::new();
    for returned in crowd.join_all().await {
        there.push(returned.expect("everything that was missed"));
    }
    println!("{RETURNED}");
    pending().await
}

/// Fills the log with what will have been missed. Returns the cursors before all of it and before
/// the end of it.
async fn fill(port: u16) -> io::Result<(String, String)> {
    let mut speaker = Client::join(port, &mint("speaker"), None).await?;
    let from_start = speaker.ready().await?.cursor;
    let mut from_late = from_start.clone();
    for number in 0..MISSED + PIPELINED {
        if number < MISSED {
            speaker.broadcast(&number.to_string()).await?;
        }
        if let Some(arrived) = number.checked_sub(PIPELINED) {
            let event = speaker.event().await?;
            assert_eq!(event.message, arrived.to_string());
            if arrived + 1 == MISSED - MISSED_BY_EACH {
                from_late = event.cursor;
            }
        }
    }
    Ok((from_start, from_late))
}

/// Comes back and reads what was missed, in order.
async fn catch_up(port: u16, user: &str, cursor: &str, missed: usize) -> io::Result<Client> {
    let mut client = Client::join(port, &mint(user), Some(cursor)).await?;
    let ready = client.ready().await?;
    assert_eq!(ready.recovery.status, "recovered");
    assert!(ready.recovery.replayed >= missed, "{ready:?}");
    for number in MISSED - missed..MISSED {
        let event = client.event().await?;
        assert_eq!(event.message, number.to_string());
    }
    Ok(client)
}

/// A player who buys something at a steady pace, in a thread and with a connection of their own.
struct Player {
    stopped: Arc<AtomicBool>,
    thread: thread::JoinHandle<io::Result<Vec<f64>>>,
}

impl Player {
    fn start(port: u16, user: &'static str) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopped);
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(play(port, user, || told.load(Ordering::Relaxed)))
        });
        Self { stopped, thread }
    }

    /// How long each took to come back, in milliseconds.
    fn stop(self) -> Vec<f64> {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic").expect("the player stays connected")
    }
}

/// Buys something until told to stop, whether or not what was bought before has come. That is the same
/// work in the calm and in the storm: one recipient, and nothing that etcd has to read. What it took is
/// counted from when it should have been bought.
async fn play(port: u16, user: &str, is_done: impl Fn() -> bool) -> io::Result<Vec<f64>> {
    let mut player = Client::join(port, &mint(user), None).await?;
    player.ready().await?;
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut on_the_way = VecDeque::new();
    let mut milliseconds = Vec::new();
    while !is_done() {
        tokio::select! {
            due = pace.tick() => {
                player.buy("live").await?;
                on_the_way.push_back(due);
            }
            event = player.event() => {
                event?;
                let due = on_the_way.pop_front().expect("only this player buys for this user");
                milliseconds.push(due.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    Ok(milliseconds)
}

fn p99(mut milliseconds: Vec<f64>) -> f64 {
    milliseconds.sort_by(f64::total_cmp);
    percentile(&milliseconds, 99)
}

/// How many ranges etcd has read so far.
async fn ranges(etcd: &Etcd) -> f64 {
    let port = etcd.endpoint().rsplit(':').next().and_then(|port| port.parse().ok());
    let metrics = get(port.expect("a port"), "/metrics").await.expect("etcd has metrics");
    let total = |line: &str| {
        line.strip_prefix("etcd_debugging_mvcc_range_total ")
            .or_else(|| line.strip_prefix("etcd_mvcc_range_total "))
            .and_then(|number| number.trim().parse().ok())
    };
    metrics.body.lines().find_map(total).expect("etcd counts its ranges")
}

fn report(measured: &Measured, rounds: usize) {
    println!("{rounds} rounds, each on a fresh etcd.\n");
    let show = |values: &[f64]| format!("{:.1}", Summary::of(values.iter().copied()));
    table::print(
        &["what", "median (min to max)"],
        &[
            vec![format!("ms until one client has {MISSED} events it missed"), show(&measured.one)],
            vec![
                format!("ms until {RETURNING} clients have {MISSED_BY_EACH} events each"),
                show(&measured.storm),
            ],
            vec!["ms p99 of a player who stayed, in the calm".to_owned(), show(&measured.calm_p99)],
            vec!["ms p99 of that player, meanwhile".to_owned(), show(&measured.storm_p99)],
            vec!["ranges that etcd read meanwhile".to_owned(), show(&measured.reads)],
        ],
    );
    table::goal(
        &format!("{MISSED} missed events within {GOAL:?}"),
        Summary::of(measured.one.iter().copied()).max < GOAL.as_secs_f64() * 1000.0,
    );
    table::goal(
        &format!("p99 of who stayed at most {DISTURBANCE} times that of the calm"),
        ratio(&measured.storm_p99, &measured.calm_p99).median <= DISTURBANCE,
    );
    let few = f64::from(RETURNING) / 10.0;
    table::goal(
        "no read of the store per client who returns",
        Summary::of(measured.reads.iter().copied()).max < few,
    );
}
