//! What an idle connection costs the server in memory, beside bare socketioxide.
#![expect(clippy::print_stdout, reason = "a benchmark: the result goes to stdout")]

use std::{thread::sleep, time::Duration};

use game_realtime_bench::{
    crowd::Crowd,
    process::require_open_files,
    rounds,
    server::Server,
    statistics::{Summary, ratio},
    subject::Subject,
    table,
};

const CLIENTS: usize = 5000;
const ROUNDS: usize = 3;
/// Longer than socketioxide's default ping interval of 25 s, so that everybody was pinged.
const SETTLING: Duration = Duration::from_secs(30);
/// After which a server that nobody is connected to does nothing any more.
const RESTING: Duration = Duration::from_secs(1);
/// The gateway's growth in that of the baseline, at most.
const GOAL: f64 = 0.75;

fn main() {
    require_open_files(CLIENTS);
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
    // Code counts as memory once it has run: let one client in before.
    drop(Crowd::join(&server, 1));
    sleep(RESTING);
    let before = server.process.resident_bytes();
    let _crowd = Crowd::join(&server, CLIENTS);
    sleep(SETTLING);
    let growth = server.process.resident_bytes().saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
    let kilobytes = growth as f64 / 1024.0 / CLIENTS as f64;
    kilobytes
}

fn report(measured: &[Vec<f64>], rounds: usize) {
    println!(
        "{CLIENTS} idle clients, {rounds} alternating rounds, {} s to settle.\n",
        SETTLING.as_secs()
    );
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
