//! What honest clients notice.

use std::{net::Ipv4Addr, time::Duration};

use game_realtime_e2e::{
    PATIENCE,
    raw::{GUEST, Raw},
};
use tokio::time::{Instant, sleep};

/// Where honest clients are.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Logs in again and again for a while; how long each took, failures as the longest.
pub(crate) async fn log_in(port: u16, duration: Duration) -> Vec<Duration> {
    let started = Instant::now();
    let mut times = Vec::new();
    while started.elapsed() < duration {
        let began = Instant::now();
        let joined = async { Raw::websocket_from(ELSEWHERE, port, GUEST).await?.join("40").await };
        times.push(if joined.await.is_ok() { began.elapsed() } else { PATIENCE });
        sleep(Duration::from_millis(50)).await;
    }
    times
}

/// Sends events one after the other for a while; how long each answer took.
pub(crate) async fn send(port: u16, duration: Duration) -> Vec<Duration> {
    let mut raw = Raw::websocket_from(ELSEWHERE, port, GUEST).await.expect("a handshake");
    raw.join("40").await.expect("a guest joins");
    let started = Instant::now();
    let mut times = Vec::new();
    while started.elapsed() < duration {
        let began = Instant::now();
        let event = r#"421["core.game.state.send_message",{"target_user_id":"a","text":"a"}]"#;
        raw.send_text(event).await.expect("the connection lives");
        raw.hear_part("431[{\"status\":\"ok\"", PATIENCE).await.expect("an answer");
        times.push(began.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
    times
}

/// The time that 99 of 100 do not exceed.
pub(crate) fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let index = (times.len() * 99).div_ceil(100).saturating_sub(1);
    times.get(index).copied().expect("something was measured")
}
