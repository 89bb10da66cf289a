//! What is broken during a run, one after the other.

use std::time::Duration;

use tokio::time::sleep;

use super::{calm::Calm, fleet::Fleet};

/// How long it stays broken.
const PAUSE: Duration = Duration::from_secs(1);
/// One in this many faults is one of etcd.
const OF_ETCD: usize = 5;

/// Breaks the fault of this number, and mends it. Returns what it was.
pub(super) async fn happen(
    number: usize,
    fleet: &mut Fleet,
    calm: &Calm,
    has_etcd: bool,
) -> String {
    calm.disturb();
    let node = number % fleet.len();
    let what = if has_etcd && number % OF_ETCD == OF_ETCD - 1 {
        let took = fleet.restart_etcd(PAUSE).await;
        format!("etcd killed; all nodes ready {took:.2?} after its start")
    } else if number.is_multiple_of(2) {
        fleet.kill(node);
        sleep(PAUSE).await;
        let took = fleet.bring_up(node, "after SIGKILL").await;
        format!("node {node} killed; ready {took:.2?} after its start")
    } else {
        fleet.terminate(node).await;
        sleep(PAUSE).await;
        let took = fleet.bring_up(node, "after SIGTERM").await;
        format!("node {node} stopped; ready {took:.2?} after its start")
    };
    calm.mend();
    what
}
