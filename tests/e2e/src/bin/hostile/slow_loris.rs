//! 2,000 connections that begin a request and never end it.

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{Server, raw::Raw};
use tokio::time::{Instant, sleep};

use crate::honest::{log_in, p99};

const CONNECTIONS: usize = 2000;
const CLOSED_WITHIN: Duration = Duration::from_secs(15);
const DRIP: Duration = Duration::from_secs(1);
const LOGIN: Duration = Duration::from_secs(1);

pub(crate) async fn run(server: &Server) -> bool {
    let port = server.port();
    let lives = join_all((0..CONNECTIONS).map(|_| tokio::spawn(life(port))));
    let (lives, logins) = tokio::join!(lives, log_in(port, CLOSED_WITHIN));
    let lives = lives.into_iter().map(|life| life.expect("a life ends"));
    let longest = lives.max().expect("there were some");
    let slowest = p99(logins);
    println!(
        "slow-loris: {CONNECTIONS}, the last closed after {longest:?}; logins p99 {slowest:?}"
    );
    longest < CLOSED_WITHIN && slowest < LOGIN
}

/// How long one lived, from when it was connected.
async fn life(port: u16) -> Duration {
    let mut raw = loop {
        if let Ok(raw) = Raw::connect(port).await {
            break raw;
        }
        sleep(DRIP).await;
    };
    let started = Instant::now();
    raw.send(b"GET / HTTP/1.1\r\n").await.ok();
    while started.elapsed() < CLOSED_WITHIN * 2 && !raw.is_closed_within(DRIP).await {
        raw.send(b"X: y\r\n").await.ok();
    }
    started.elapsed()
}
