//! Runs the gateway flat out for minutes or hours, breaks it now and then, and says whether it could go
//! on for ever: `endure [minutes] [store]`. Exit code 1 if not. docs/endurance.md says how to read it.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for developers that fails loudly and prints what it does"
)]

use std::{env, fs, path::Path, process::ExitCode, time::Duration};

use game_realtime_e2e::endure::{EndureStore, Outcome, Plan, endure};
use tokio::signal::unix::{SignalKind, signal};

const DEFAULT_MINUTES: f64 = 60.0;
const RESULTS: &str = "target/endure";

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let minutes = arguments.next().map_or(DEFAULT_MINUTES, |text| text.parse().expect("minutes"));
    let store = arguments.next().unwrap_or_else(|| "etcd".to_owned());
    let store = EndureStore::named(&store).expect("a store is etcd or embedded");
    let plan = Plan::from_environment(store, Duration::from_secs_f64(minutes * 60.0));
    println!("endure: {minutes} minutes on {} (just endure {minutes} {0})", store.name());
    let mut endured = tokio::spawn(endure(plan, |progress| println!("endure: {progress}")));
    let endured = tokio::select! {
        endured = &mut endured => endured,
        () = told_to_end() => {
            // Its processes end with it.
            endured.abort();
            endured.await
        }
    };
    let Ok(outcome) = endured else {
        println!("endure: FAILED: it did not get to its end");
        return ExitCode::FAILURE;
    };
    print!("{outcome}");
    keep(&outcome, store);
    println!("endure: {}", outcome.verdict());
    if outcome.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Waits for SIGINT or SIGTERM.
async fn told_to_end() {
    let on = |kind| signal(kind).expect("signals can be listened to");
    let (mut interrupt, mut terminate) = (on(SignalKind::interrupt()), on(SignalKind::terminate()));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Writes the samples, and the picture if it is wanted, to where they stay.
fn keep(outcome: &Outcome, store: EndureStore) {
    let path = Path::new(RESULTS).join(format!("{}.json", store.name()));
    let text = serde_json::to_string_pretty(&outcome.json()).expect("figures are JSON");
    write(&path, &text);
    if env::var("ENDURE_PLOT").is_ok_and(|wanted| wanted == "1") {
        write(&Path::new("docs").join(format!("endurance-{}.svg", store.name())), &outcome.svg());
    }
}

fn write(path: &Path, text: &str) {
    let written =
        path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    match written {
        Ok(()) => println!("endure: wrote {}", path.display()),
        Err(error) => println!("endure: {} is lost: {error}", path.display()),
    }
}
