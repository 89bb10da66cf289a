//! Brings one connection that is behind up to the present, as fast as its client reads.

use std::sync::Arc;

use game_realtime_domain::ConnectionId;
use tokio::task::yield_now;

use super::{Advance, DeliveryGone, DeliveryHandle};
use crate::{
    panics::panic_point,
    ports::{ClientPush, CloseReason, PushOutcome},
};

/// How many events are asked for at a time.
const CHUNK: usize = 64;

/// Runs until the connection is live or gone.
pub(super) async fn run(handle: DeliveryHandle, id: ConnectionId, push: Arc<dyn ClientPush>) {
    let deliveries = handle.deliveries();
    let Ok(mut turn) = handle.turn().await else { return };
    panic_point("catch-up");
    loop {
        // What is new goes first: this goes on when nothing else is left to do.
        yield_now().await;
        let events = match handle.advance(id, CHUNK).await {
            Ok(Advance::Hand(events)) => events,
            Ok(Advance::Lost) => {
                push.close(CloseReason::SlowConsumer);
                return;
            }
            Ok(Advance::Live | Advance::Unknown) | Err(_) => return,
        };
        for event in events {
            loop {
                match push.queue(&event) {
                    PushOutcome::Taken => break,
                    PushOutcome::Full => {
                        push.flush();
                        // Somebody else's turn while the client reads.
                        drop(turn);
                        if push.writable().await.is_err() {
                            push.close(CloseReason::SlowConsumer);
                            return;
                        }
                        turn = match handle.turn().await {
                            Ok(turn) => turn,
                            Err(DeliveryGone) => return,
                        };
                    }
                    PushOutcome::Gone => return,
                }
            }
            deliveries.add(event.event().event.payload.event_type, 1);
        }
        push.flush();
    }
}
