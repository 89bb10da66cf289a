//! Clients that stop reading while there is much to read (`just hostile slow-consumers` is the long form).

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{
    PATIENCE, Server, Settings, Store, mint,
    raw::{PRIVATE, Raw},
};
use tokio::time::{Instant, sleep};

use crate::honest::metric;

const READERS: usize = 7;
const STALLED: usize = 3;
/// More than the system and the node hold for one connection.
const BROADCASTS: usize = 500;
const MESSAGE: usize = 16_000;
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const SLOW: &str =
    "game_realtime_disconnects_total{namespace=\"private\",reason=\"slow_consumer\"}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_gone_and_all_others_get_everything() {
    // Not for want of a sign of life.
    let settings = Settings::new(&Store::Memory)
        .with("limits.send_buffer_bytes", "64KiB")
        .with("limits.write_timeout", "1s")
        .with("limits.ping_interval", "60s");
    let server = Server::start(&settings).await;
    let port = server.port();
    let mut stalled = Vec::new();
    for number in 0..STALLED {
        let raw = Raw::narrow(port, PRIVATE).await.unwrap();
        stalled.push(join(raw, &format!("stalled-{number}")).await);
    }
    let mut readers = Vec::new();
    for number in 0..READERS {
        let raw = Raw::websocket(port, PRIVATE).await.unwrap();
        readers.push(tokio::spawn(read_all(join(raw, &format!("reader-{number}")).await)));
    }
    let mut speaker = join(Raw::websocket(port, PRIVATE).await.unwrap(), "speaker").await;
    for number in 0..BROADCASTS {
        let message = format!("{number} {}", "x".repeat(MESSAGE));
        let event = format!("421[\"core.game.state.broadcast\",{{\"message\":\"{message}\"}}]");
        speaker.send_text(&event).await.unwrap();
        speaker.hear_part("431[{\"status\":\"ok\"", PATIENCE).await.unwrap();
    }
    for numbers in join_all(readers).await {
        assert!(numbers.unwrap().into_iter().eq(0..BROADCASTS), "all of them, in order");
    }
    let started = Instant::now();
    while metric(&server, SLOW).await < STALLED as u64 {
        assert!(started.elapsed() < PATIENCE, "they are closed");
        sleep(POLL_INTERVAL).await;
    }
    for (number, raw) in stalled.iter_mut().enumerate() {
        assert!(raw.is_closed_within(PATIENCE).await, "{number}");
        let started = Instant::now();
        while connections_of(&mut speaker, &format!("stalled-{number}")).await > 0 {
            assert!(started.elapsed() < PATIENCE, "the store forgets it");
            sleep(POLL_INTERVAL).await;
        }
    }
    server.stop().await;
}

async fn join(mut raw: Raw, user: &str) -> Raw {
    raw.join(&format!("40{{\"token\":{:?}}}", mint(user))).await.unwrap();
    raw
}

/// The numbers of the broadcasts that it gets.
async fn read_all(mut raw: Raw) -> Vec<usize> {
    let mut numbers = Vec::new();
    let started = Instant::now();
    while numbers.len() < BROADCASTS {
        assert!(started.elapsed() < PATIENCE * 2, "{} of {BROADCASTS}", numbers.len());
        raw.read_frames(PATIENCE, |payload| {
            let text = std::str::from_utf8(payload).unwrap();
            if let Some((_, rest)) = text.split_once("{\"message\":\"") {
                numbers.push(rest.split(' ').next().unwrap().parse().unwrap());
            }
        })
        .await;
    }
    numbers
}

async fn connections_of(witness: &mut Raw, user: &str) -> u64 {
    let payload = format!("{{\"target_user_id\":{user:?},\"text\":\"there?\"}}");
    witness.send_text(&format!("422[\"core.game.state.send_message\",{payload}]")).await.unwrap();
    let answer = witness.hear_part("432[", PATIENCE).await.unwrap();
    let (_, rest) = answer.split_once("\"connections\":").unwrap();
    rest.split('}').next().unwrap().parse().unwrap()
}
