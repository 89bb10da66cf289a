//! Bugs, on order: a panic in what is done for one connection ends that connection and nothing else, a
//! panic in a task that everybody depends on ends the process, quickly.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests may fail")]

mod connections;
mod nodes;

use std::time::Duration;

use game_realtime_e2e::{PATIENCE, Server, raw::Raw};
use tokio::time::{Instant, sleep};

const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// What an injected panic says, which nobody may read.
const WORDS: &str = "somebody's words";

/// A guest whose broadcasts are answered.
struct Guest(Raw);

impl Guest {
    async fn connect(server: &Server) -> Self {
        Self(Raw::guest(server.port()).await.unwrap())
    }

    async fn say(&mut self, message: &str) {
        let event = format!("421[\"core.game.state.broadcast\",{{\"message\":{message:?}}}]");
        self.0.send_text(&event).await.unwrap();
    }

    async fn is_served(&mut self, after: &str) {
        self.say("hello").await;
        let answer = self.0.hear_part("431[", PATIENCE).await;
        assert!(answer.as_ref().is_ok_and(|it| it.contains("\"ok\"")), "after {after}: {answer:?}");
    }

    /// Waits until the registry knows so many connections of a user.
    async fn await_connections_of(&mut self, user: &str, count: u64) {
        let started = Instant::now();
        while self.connections_of(user).await != count {
            assert!(started.elapsed() < PATIENCE, "{count} connections of {user}");
            sleep(POLL_INTERVAL).await;
        }
    }

    /// So many connections of a user the registry knows.
    async fn connections_of(&mut self, user: &str) -> u64 {
        let payload = format!("{{\"target_user_id\":{user:?},\"text\":\"there?\"}}");
        let event = format!("422[\"core.game.state.send_message\",{payload}]");
        self.0.send_text(&event).await.unwrap();
        let answer = self.0.hear_part("432[", PATIENCE).await.unwrap();
        let (_, rest) = answer.split_once("\"connections\":").unwrap();
        rest.split('}').next().unwrap().parse().unwrap()
    }
}

/// The value of a series without labels, or with these.
async fn metric(server: &Server, series: &str) -> u64 {
    let metrics = server.admin("/metrics").await.unwrap().body;
    let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{series} in {metrics}")).parse().unwrap()
}

/// Whether the log tells of panics, each with its place in `file`, and nothing of what they said.
fn assert_logged(server: &Server, file: &str) {
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("\"panicked\"")).collect();
    assert!(lines.iter().any(|line| line.contains(&format!("{file}:"))), "{file}: {lines:?}");
    assert!(!log.contains(WORDS), "{log}");
}
