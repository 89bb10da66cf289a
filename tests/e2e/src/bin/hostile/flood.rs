//! 100,000 events a second from one client, which comes back whenever it is sent away.

use std::{env, process::Stdio, time::Duration};

use futures_util::future::join_all;
use game_realtime_e2e::{
    Server,
    raw::{Raw, frame, opcode},
};
use tokio::{
    process::Command,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::honest::{p99, send};

/// What the process that floods is told to do.
pub(crate) const ATTACKER: &str = "flood-of";
const MEASURED: Duration = Duration::from_secs(15);
const HONEST: usize = 10;
/// What is sent at once, and how often.
const BATCH: usize = 1000;
const PACE: Duration = Duration::from_millis(10);
/// On a machine that does nothing, twice next to nothing is nothing to speak of.
const UNNOTICED: Duration = Duration::from_millis(10);

pub(crate) async fn run(server: &Server) -> bool {
    let port = server.port();
    let quiet = measure(port).await;
    // A process that gets what time the others leave: this is about the server, not about who shares
    // a machine with it here.
    let flood = Command::new("chrt")
        .args(["--idle", "0"])
        .arg(env::current_exe().expect("a path"))
        .args([ATTACKER, &port.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the flood starts");
    let flooded = measure(port).await;
    let flood = flood.wait_with_output().await.expect("the flood ends");
    let sent = String::from_utf8_lossy(&flood.stdout);
    println!(
        "flood: {}; others' answers p99 {quiet:?}, then {flooded:?}: {:.1} times",
        sent.trim(),
        flooded.as_secs_f64() / quiet.as_secs_f64()
    );
    flood.status.success() && (flooded < quiet * 2 || flooded < UNNOTICED)
}

/// What the other process does.
pub(crate) async fn attack(port: u16) {
    let (sent, visits) = flood(port).await;
    println!("{} events a second over {visits} connections", sent / MEASURED.as_secs());
}

async fn measure(port: u16) -> Duration {
    let senders = (0..HONEST).map(|_| tokio::spawn(send(port, MEASURED)));
    let times = join_all(senders).await.into_iter();
    p99(times.flat_map(|times| times.expect("a sender ends")).collect())
}

async fn flood(port: u16) -> (u64, u64) {
    let event = b"42[\"core.game.state.send_message\",{\"target_user_id\":\"a\",\"text\":\"a\"}]";
    let batch = frame(opcode::TEXT, event).repeat(BATCH);
    let started = Instant::now();
    let (mut sent, mut visits) = (0, 0);
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while started.elapsed() < MEASURED {
        let Ok(mut raw) = Raw::guest(port).await else {
            sleep(PACE).await;
            continue;
        };
        visits += 1;
        while started.elapsed() < MEASURED && raw.send(&batch).await.is_ok() {
            sent += BATCH as u64;
            pace.tick().await;
            // What it is told it does not care about, but it reads it.
            raw.is_closed_within(Duration::ZERO).await;
        }
    }
    (sent, visits)
}
