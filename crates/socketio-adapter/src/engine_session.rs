//! What the connections of one Engine.IO session share: its request, its transport, its back
//! pressure. The session id stays in here.

mod polling;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use game_realtime_application::ports::Credentials;
use game_realtime_domain::Namespace;
use tokio::sync::{Notify, futures::Notified};

pub(crate) use self::polling::Polling;
use crate::websocket::{Gate, Pause, Transport};

/// How a client came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WayIn {
    /// The game namespace is in the path of the request; the Socket.IO namespace is `/`.
    Path(Namespace),
    /// The game namespace is the Socket.IO namespace.
    SocketIoNamespace,
}

/// What is kept of the request that opened a session: copies, so that the buffer it was read
/// into can be freed.
pub(crate) struct Request {
    pub(crate) way_in: WayIn,
    /// The headers that identification asked for.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// The query parameter `cursor`.
    pub(crate) cursor: Option<String>,
    /// The other end of the TCP connection.
    pub(crate) peer: IpAddr,
    /// Whom limits per address count for.
    pub(crate) client: IpAddr,
}

impl Request {
    /// What the client presents, with the token of its connect payload.
    pub(crate) fn credentials(&self, token: Option<String>) -> Credentials {
        Credentials { token, headers: self.headers.clone(), peer: Some(self.peer) }
    }
}

/// One Engine.IO session.
pub(crate) struct EngineSession {
    pub(crate) request: Request,
    /// Set once the client speaks WebSocket.
    transport: OnceLock<Arc<Transport>>,
    gates: AtomicU32,
    connections: AtomicU32,
    /// Whether it has tried to join a namespace.
    attempted: AtomicBool,
    /// A polling client has been given what waited for it.
    polled: Notify,
    /// How many reasons there are to read nothing more from a polling client: full inboxes of its
    /// connections, and refusals that are not over. The end of a reason may be noted before its
    /// beginning, by another task: the number is then below zero for a moment.
    held_up: Mutex<i32>,
    relieved: Notify,
    /// Of a session that began by polling.
    polling: Option<Box<Polling>>,
}

impl EngineSession {
    /// A session that is a WebSocket from the beginning.
    pub(crate) fn on_websocket(request: Request, transport: Arc<Transport>) -> Arc<Self> {
        Arc::new(Self::new(request, OnceLock::from(transport), None))
    }

    /// A session that begins by polling.
    pub(crate) fn on_polling(request: Request) -> Arc<Self> {
        Arc::new(Self::new(request, OnceLock::new(), Some(Box::default())))
    }

    fn new(
        request: Request,
        transport: OnceLock<Arc<Transport>>,
        polling: Option<Box<Polling>>,
    ) -> Self {
        Self {
            request,
            transport,
            gates: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            attempted: AtomicBool::new(false),
            polled: Notify::new(),
            held_up: Mutex::new(0),
            relieved: Notify::new(),
            polling,
        }
    }

    pub(crate) fn transport(&self) -> Option<&Arc<Transport>> {
        self.transport.get()
    }

    pub(crate) fn polling(&self) -> Option<&Polling> {
        self.polling.as_deref()
    }

    /// Notes the WebSocket of a session whose client has stopped polling. It is used only once the
    /// library says that it is one.
    pub(crate) fn upgraded(&self, transport: Arc<Transport>) {
        self.transport.set(transport).ok();
    }

    /// Notes a connection.
    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes the end of a connection.
    pub(crate) fn disconnected(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether it has joined a game namespace and not left all of them.
    pub(crate) fn is_connected(&self) -> bool {
        self.connections.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn new_gate(&self) -> Gate {
        self.gates.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes an attempt to join a namespace; whether there was one before.
    pub(crate) fn is_repeated_attempt(&self) -> bool {
        self.attempted.swap(true, Ordering::Relaxed)
    }

    /// Notes that an inbox is full, or no longer. Reading goes on when none is.
    pub(crate) fn set_congested(&self, congested: bool) {
        if self.hold_up(congested) <= 0
            && let Some(transport) = self.transport.get()
        {
            transport.resume_reading(Pause::Congestion);
        }
    }

    /// Reads nothing from the WebSocket until no inbox is full. Only for one that is in use: during an
    /// upgrade the library delivers nothing, and no inbox would empty before it has read that it is
    /// complete.
    pub(crate) fn pause_while_congested(&self) {
        let held_up = self.held_up.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transport) = self.transport.get()
            && *held_up > 0
        {
            transport.pause_reading(Pause::Congestion);
        }
    }

    /// Notes that a client is being refused, or may try again.
    pub(crate) fn set_refusing(&self, refusing: bool) {
        match (self.transport.get(), refusing) {
            (Some(transport), true) => transport.pause_reading(Pause::Refusal),
            (Some(transport), false) => transport.resume_reading(Pause::Refusal),
            (None, _) => {}
        }
        self.hold_up(refusing);
    }

    fn hold_up(&self, more: bool) -> i32 {
        let mut held_up = self.held_up.lock().unwrap_or_else(PoisonError::into_inner);
        *held_up += if more { 1 } else { -1 };
        if *held_up <= 0 {
            self.relieved.notify_waiters();
        }
        *held_up
    }

    /// Waits until a polling client has been given what waited for it.
    pub(crate) fn polled(&self) -> Notified<'_> {
        self.polled.notified()
    }

    /// Notes that a polling client has been given what waited for it.
    pub(crate) fn note_poll(&self) {
        self.polled.notify_waiters();
    }

    /// Waits until more can be taken from a polling client.
    pub(crate) async fn uncongested(&self) {
        loop {
            let relieved = self.relieved.notified();
            if *self.held_up.lock().unwrap_or_else(PoisonError::into_inner) <= 0 {
                return;
            }
            relieved.await;
        }
    }
}

/// The sessions that began by polling, by their secret id, for as long as anything holds them.
#[derive(Default)]
pub(crate) struct EngineSessions(Mutex<HashMap<String, Weak<EngineSession>>>);

impl EngineSessions {
    /// Notes the id that the library gave a session.
    pub(crate) fn opened(self: &Arc<Self>, id: String, session: &Arc<EngineSession>) {
        if let Some(polling) = session.polling() {
            polling.opened(id.clone(), Arc::downgrade(self));
            self.lock().insert(id, Arc::downgrade(session));
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<EngineSession>> {
        self.lock().get(id).and_then(Weak::upgrade)
    }

    fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<EngineSession>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn an_inbox_that_is_empty_before_it_was_noted_as_full_holds_nobody_up() {
        let session = EngineSession::on_polling(Request {
            way_in: WayIn::SocketIoNamespace,
            headers: Vec::new(),
            cursor: None,
            peer: Ipv4Addr::LOCALHOST.into(),
            client: Ipv4Addr::LOCALHOST.into(),
        });
        session.set_congested(false);
        session.set_congested(true);
        timeout(Duration::from_millis(20), session.uncongested()).await.unwrap();
        session.set_congested(true);
        assert!(timeout(Duration::from_millis(20), session.uncongested()).await.is_err());
        session.set_congested(false);
        timeout(Duration::from_millis(20), session.uncongested()).await.unwrap();
    }
}
