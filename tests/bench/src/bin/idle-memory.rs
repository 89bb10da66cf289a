//! What an idle connection costs the server in memory, beside bare socketioxide.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark: what cannot go on ends the program, and the result goes to stdout"
)]

use game_realtime_bench::{
    load, rounds,
    server::Server,
    statistics::{Summary, ratio},
    subject::Subject,
    table,
};
use game_realtime_loadgen::open_files;

const CLIENTS: u32 = 5000;
const ROUNDS: usize = 3;
/// Longer than socketioxide's default ping interval of 25 s, so that everybody was pinged.
const SETTLING: &str = "30s";
/// The gateway's growth in that of the baseline, at most.
const GOAL: f64 = 0.75;

fn main() {
    open_files::allow(CLIENTS).expect("a file for every client, in the server");
    let rounds = rounds(ROUNDS);
    let mut measured = Subject::ALL.map(|_| Vec::new());
    for round in 1..=rounds {
        for (subject, measured) in Subject::ALL.into_iter().zip(&mut measured) {
            let kilobytes = measure(subject);
            eprintln!("round {round} of {rounds}: {} {kilobytes:.2} KiB", subject.program());
            measured.push(kilobytes);
        }
    }
    report(&measured, rounds);
}

/// The growth of the server per connection, in KiB.
fn measure(subject: Subject) -> f64 {
    let server = Server::start(subject);
    let report = load::put(&server, &["idle", "-n", &CLIENTS.to_string(), "--duration", SETTLING]);
    load::cost(&report).rss_bytes_per_connection / 1024.0
}

fn report(measured: &[Vec<f64>], rounds: usize) {
    println!("{CLIENTS} idle clients, {rounds} alternating rounds, {SETTLING} to settle.\n");
    let [gateway, bare, ..] = measured else { return };
    let rows: Vec<_> = Subject::ALL
        .into_iter()
        .zip(measured)
        .map(|(subject, measured)| {
            vec![
                subject.program().to_owned(),
                format!("{:.2}", Summary::of(measured.iter().copied())),
                format!("{:.2}", ratio(measured, bare)),
            ]
        })
        .collect();
    table::print(
        &[
            "server",
            "KiB of RSS per idle connection: median (min to max)",
            "of bare socketioxide's in the same round",
        ],
        &rows,
    );
    table::goal(
        &format!("memory per idle connection at most {GOAL} of bare socketioxide's"),
        ratio(gateway, bare).median <= GOAL,
    );
}
