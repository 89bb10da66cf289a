//! Polling handshakes from one host, as fast as they go up to 5,000 a second.

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{
    PATIENCE, Server,
    raw::{GUEST, Raw},
};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::honest::{log_in, p99};

const ATTACK: Duration = Duration::from_secs(30);
const CONNECTIONS: usize = 50;
/// Of one connection: all together 5,000 a second.
const PACE: Duration = Duration::from_millis(10);
const MEMORY_KIB: u64 = 300 * 1024;
const LOGIN: Duration = Duration::from_secs(1);

pub(crate) async fn run(server: &Server) -> bool {
    let port = server.port();
    let attack = tokio::spawn(join_all((0..CONNECTIONS).map(move |_| tokio::spawn(attack(port)))));
    let slowest = p99(log_in(port, ATTACK).await);
    let (mut accepted, mut refused) = (0, 0);
    for counts in attack.await.expect("the attack ends") {
        let (more_accepted, more_refused) = counts.expect("the attack ends");
        accepted += more_accepted;
        refused += more_refused;
    }
    let (_, most) = server.memory();
    println!(
        "handshakes: {} a second, {accepted} accepted, {refused} refused; logins from elsewhere p99 {slowest:?}",
        (accepted + refused) / ATTACK.as_secs(),
    );
    most < MEMORY_KIB && slowest < LOGIN
}

async fn attack(port: u16) -> (u64, u64) {
    let started = Instant::now();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut accepted, mut refused) = (0, 0);
    let request = format!("GET {GUEST}?EIO=4&transport=polling HTTP/1.1");
    while started.elapsed() < ATTACK {
        let Ok(mut raw) = Raw::connect(port).await else { continue };
        while started.elapsed() < ATTACK {
            pace.tick().await;
            match raw.request(&request, b"", PATIENCE).await {
                Some((200, _)) => accepted += 1,
                Some(_) => refused += 1,
                None => break,
            }
        }
    }
    (accepted, refused)
}
