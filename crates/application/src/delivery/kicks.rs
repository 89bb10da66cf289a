//! Ends connections as operators order it, on whichever node.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::DeliveryHandle;
use crate::{panics::Watchdog, ports::KickOrders};

/// Starts listening to orders, in a task that `tracker` owns, `stop` ends and `watchdog` watches.
pub fn start_kicks(
    orders: Arc<dyn KickOrders>,
    delivery: DeliveryHandle,
    tracker: &TaskTracker,
    stop: CancellationToken,
    watchdog: &Watchdog,
) {
    let listen = async move { while delivery.kick(orders.next().await).await.is_ok() {} };
    let listen = stop.run_until_cancelled_owned(listen);
    tracker.spawn(watchdog.clone().watch("kicks", listen));
}
