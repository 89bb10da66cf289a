//! A guest that behaves, while others do not.

use std::time::Duration;

use game_realtime_e2e::{
    PATIENCE, Server,
    raw::{Heard, Raw},
};

/// A connection whose broadcasts must be answered.
pub(crate) struct Honest(Raw);

impl Honest {
    pub(crate) async fn connect(server: &Server) -> Self {
        Self(Raw::guest(server.port()).await.unwrap())
    }

    /// It is still there, and served.
    pub(crate) async fn is_served(&mut self, after: &str) {
        self.0.send_text(r#"421["core.game.state.broadcast",{"message":"hello"}]"#).await.unwrap();
        let answer = self.0.hear_part("431[", PATIENCE).await;
        let answer = answer.unwrap_or_else(|heard| panic!("after {after}: {heard:?}"));
        assert!(answer.contains(r#""status":"ok""#), "after {after}: {answer}");
    }

    /// Answers pings for a while.
    pub(crate) async fn stay(&mut self, duration: Duration) {
        assert_eq!(self.0.hear_part("nothing says this", duration).await, Err(Heard::Nothing));
    }
}

/// The value of a metric, by its name and labels as they are written.
pub(crate) async fn metric(server: &Server, series: &str) -> u64 {
    let metrics = server.admin("/metrics").await.unwrap().body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} in {metrics}")).parse().unwrap()
}

/// How often a limit has refused something.
pub(crate) async fn refusals(server: &Server, reason: &str) -> u64 {
    metric(server, &format!("game_realtime_refusals_total{{reason=\"{reason}\"}}")).await
}
