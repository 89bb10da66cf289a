//! Ends connections as operators order it, on whichever node.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::DeliveryHandle;
use crate::ports::KickOrders;

/// Starts listening to orders, in a task that `tracker` owns and `stop` ends.
pub fn start_kicks(
    orders: Arc<dyn KickOrders>,
    delivery: DeliveryHandle,
    tracker: &TaskTracker,
    stop: CancellationToken,
) {
    let listen = async move { while delivery.kick(orders.next().await).await.is_ok() {} };
    tracker.spawn(async move { stop.run_until_cancelled(listen).await });
}
