//! What one event to 5 000 connected clients costs the server: CPU time per delivery, beside bare
//! socketioxide.
#![expect(clippy::print_stdout, reason = "a benchmark: the result goes to stdout")]

use game_realtime_bench::{
    crowd::Crowd,
    process::{can_bind, require_open_files},
    rounds,
    server::Server,
    statistics::{Summary, percentile, ratio},
    subject::Subject,
    table,
};

const CLIENTS: usize = 5000;
const ROUNDS: usize = 5;
const WARM_UP: usize = 10;
const BROADCASTS: usize = 60;
/// The gateway's cost in that of the baseline, at most.
const GOAL: f64 = 1.2;

/// What all rounds of one subject have shown.
#[derive(Default)]
struct Measured {
    cpu_microseconds: Vec<f64>,
    milliseconds: Vec<f64>,
    frame_bytes: Vec<f64>,
}

fn main() {
    require_open_files(CLIENTS);
    let rounds = rounds(ROUNDS);
    let mut measured = Subject::ALL.map(|_| Measured::default());
    for round in 1..=rounds {
        for (subject, measured) in Subject::ALL.into_iter().zip(&mut measured) {
            measure(subject, measured);
            let cost = measured.cpu_microseconds.last().copied().unwrap_or_default();
            eprintln!("round {round} of {rounds}: {} {cost:.2} us", subject.program());
        }
    }
    report(&measured, rounds);
}

fn measure(subject: Subject, measured: &mut Measured) {
    let server = Server::start(subject);
    let mut crowd = Crowd::join(&server, CLIENTS);
    crowd.broadcast(WARM_UP);
    let before = server.process.cpu_time();
    let report = crowd.broadcast(BROADCASTS);
    let spent = server.process.cpu_time() - before;
    let deliveries = f64::from(report.deliveries);
    measured.cpu_microseconds.push(spent.as_secs_f64() * 1e6 / deliveries);
    #[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
    measured.frame_bytes.push(report.bytes as f64 / deliveries);
    measured.milliseconds.extend(report.milliseconds);
}

fn report(measured: &[Measured], rounds: usize) {
    println!(
        "{CLIENTS} clients, {rounds} alternating rounds of {BROADCASTS} broadcasts, {}.\n",
        if can_bind() { "server on one core, clients on another" } else { "cores shared" }
    );
    let [gateway, bare, ..] = measured else { return };
    let costs = |measured: &Measured| ratio(&measured.cpu_microseconds, &bare.cpu_microseconds);
    let rows: Vec<_> = Subject::ALL
        .into_iter()
        .zip(measured)
        .map(|(subject, measured)| {
            let mut milliseconds = measured.milliseconds.clone();
            milliseconds.sort_by(f64::total_cmp);
            vec![
                subject.program().to_owned(),
                format!("{:.2}", Summary::of(measured.cpu_microseconds.iter().copied())),
                format!("{:.2}", costs(measured)),
                format!("{:.1}", percentile(&milliseconds, 50)),
                format!("{:.1}", percentile(&milliseconds, 99)),
                format!("{:.1}", Summary::of(measured.frame_bytes.iter().copied()).median),
            ]
        })
        .collect();
    table::print(
        &[
            "server",
            "CPU µs per delivery: median (min to max)",
            "of bare socketioxide's in the same round",
            "ms from send to last delivery, p50",
            "p99",
            "bytes per frame",
        ],
        &rows,
    );
    table::goal(
        &format!("CPU time per delivery at most {GOAL} times bare socketioxide's"),
        costs(gateway).median <= GOAL,
    );
}
