//! One client at each node that never comes back by itself: it sees whether the node answers, what
//! and when, and whether it keeps its sockets.

use std::{ops::Range, time::Duration};

use futures_util::future::join_all;
use game_realtime_e2e::{Client, Cluster, ConnectOptions, Traffic, event, mint, shape};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// What a machine that is busy with everything else may add to an answer.
const SLACK: Duration = Duration::from_secs(1);
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// Longer than any answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The clients, by node.
pub(crate) struct Probes(Vec<Client>);

impl Probes {
    pub(crate) async fn connect(cluster: &Cluster, traffic: &Traffic) -> Self {
        let connecting = cluster.nodes.iter().enumerate().map(|(number, node)| async move {
            let options = ConnectOptions::player(&node.url(), &mint(&format!("probe-{number}")));
            traffic.driver().connect(&options.over(&["websocket"])).await.unwrap()
        });
        Self(join_all(connecting).await)
    }

    pub(crate) fn clients(&self) -> Vec<&Client> {
        self.0.iter().collect()
    }

    /// Sends at these nodes; each must answer `unavailable` in time. Returns the longest time.
    pub(crate) async fn assert_unavailable_at(&self, nodes: Range<usize>) -> Duration {
        let limit = Cluster::REQUEST_TIMEOUT + SLACK;
        let asking = self.0[nodes].iter().map(|client| async move {
            let started = Instant::now();
            let ack = client.emit_within(event::BROADCAST, probe(), ANSWER_LIMIT).await;
            let took = started.elapsed();
            shape::assert_refused(&ack.expect("an answer comes"), "unavailable");
            assert!(took < limit, "{} answered after {took:?}", client.name());
            took
        });
        join_all(asking).await.into_iter().max().unwrap_or_default()
    }

    /// Sends at every node until each has committed one and all have got all of those. Returns how
    /// long after `since` that was, which must be within `limit`.
    pub(crate) async fn await_flow(&self, since: Instant, limit: Duration) -> Duration {
        let ids = join_all(self.0.iter().map(|client| commit(client, since + limit))).await;
        for client in &self.0 {
            for id in &ids {
                while !client.saw(|received| received.payload().get("id") == Some(id)) {
                    assert!(since.elapsed() < limit, "{} has no {id}", client.name());
                    sleep(RETRY_INTERVAL).await;
                }
            }
        }
        since.elapsed()
    }

    /// Nobody was disconnected.
    pub(crate) fn assert_stayed(&self) {
        for client in &self.0 {
            assert_eq!(client.count_lifecycle("disconnect"), 0, "{}", client.name());
        }
    }
}

/// Sends until something is committed, and returns its id.
async fn commit(client: &Client, deadline: Instant) -> Value {
    loop {
        let ack = client.emit_within(event::BROADCAST, probe(), ANSWER_LIMIT).await;
        if let Ok(ack) = &ack
            && ack["status"] == "ok"
        {
            return ack["event"]["id"].clone();
        }
        assert!(Instant::now() < deadline, "{} is still answered {ack:?}", client.name());
        sleep(RETRY_INTERVAL).await;
    }
}

fn probe() -> Value {
    json!({"message": "is anybody there?"})
}
