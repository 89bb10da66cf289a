//! Transports without a connection: clients that were refused, or disconnected, and stay.

use std::sync::Arc;

use crate::{engine_session::EngineSession, gateway::Gateway, library::EngineProtocol};

/// Closes the transport of a client that is connected to nothing, after the time to connect. The
/// library does so only for clients of version 3 and later that have never joined.
pub(crate) fn close_unless_connected(
    gateway: &Arc<Gateway>,
    engine: Arc<EngineSession>,
    engine_id: String,
    protocol: EngineProtocol,
) {
    let gateway = Arc::clone(gateway);
    let tasks = gateway.tasks().clone();
    tasks.spawn(async move {
        gateway.pause(gateway.limits().connect_timeout).await;
        if engine.is_connected() {
            return;
        }
        if let Some(transport) = engine.transport() {
            transport.finish();
        }
        // Does nothing to a WebSocket.
        gateway.library().close_polling(&engine_id, protocol);
    });
}
