//! What one event to 5 000 connected clients costs the server: CPU time per delivery, beside bare
//! socketioxide.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark: what cannot go on ends the program, and the result goes to stdout"
)]

use game_realtime_bench::{
    load,
    process::can_bind,
    rounds,
    server::Server,
    statistics::{Summary, ratio},
    subject::Subject,
    table,
};
use game_realtime_loadgen::open_files;

const CLIENTS: u32 = 5000;
const ROUNDS: usize = 5;
const BROADCASTS: u32 = 60;
/// The gateway's cost in that of the baseline, at most.
const GOAL: f64 = 1.2;

/// What all rounds of one subject have shown.
#[derive(Default)]
struct Measured {
    cpu_microseconds: Vec<f64>,
    p50_milliseconds: Vec<f64>,
    p99_milliseconds: Vec<f64>,
    frame_bytes: Vec<f64>,
}

fn main() {
    open_files::allow(CLIENTS).expect("a file for every client, in the server");
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
    let (clients, events) = (CLIENTS.to_string(), BROADCASTS.to_string());
    let flags = [
        "broadcast",
        "-n",
        &clients,
        "--events",
        &events,
        "--duration",
        "1m",
        "--burst",
        "1",
        "--pause",
        "5ms",
        "--warm-up",
        "500ms",
    ];
    let report = load::put(&server, &flags);
    measured.cpu_microseconds.extend(load::cost(&report).cpu_us_per_delivery);
    let sent = report.measured.expect("events were sent");
    let settled = sent.settle_latency.expect("events have arrived");
    #[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
    let milliseconds = |micros: u64| micros as f64 / 1000.0;
    measured.p50_milliseconds.push(milliseconds(settled.p50));
    measured.p99_milliseconds.push(milliseconds(settled.p99));
    measured.frame_bytes.push(sent.bytes_per_delivery);
}

fn report(measured: &[Measured], rounds: usize) {
    println!(
        "{CLIENTS} clients, {rounds} alternating rounds of {BROADCASTS} broadcasts, {}.\n",
        if can_bind() { "server on one core, clients on another" } else { "cores shared" }
    );
    let [gateway, bare, ..] = measured else { return };
    let costs = |measured: &Measured| ratio(&measured.cpu_microseconds, &bare.cpu_microseconds);
    let summary = |values: &[f64]| Summary::of(values.iter().copied());
    let rows: Vec<_> = Subject::ALL
        .into_iter()
        .zip(measured)
        .map(|(subject, measured)| {
            vec![
                subject.program().to_owned(),
                format!("{:.2}", summary(&measured.cpu_microseconds)),
                format!("{:.2}", costs(measured)),
                format!("{:.1}", summary(&measured.p50_milliseconds)),
                format!("{:.1}", summary(&measured.p99_milliseconds)),
                format!("{:.0}", summary(&measured.frame_bytes).median),
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
            "bytes per delivery",
        ],
        &rows,
    );
    table::goal(
        &format!("CPU time per delivery at most {GOAL} times bare socketioxide's"),
        costs(gateway).median <= GOAL,
    );
}
