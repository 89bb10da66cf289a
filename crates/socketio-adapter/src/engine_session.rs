//! What the connections of one Engine.IO session share: its request, its transport, its back
//! pressure. The session id stays in here.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use game_realtime_application::ports::Credentials;
use game_realtime_domain::Namespace;
use tokio::sync::{Notify, futures::Notified};

use crate::websocket::{Gate, Transport};

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
    /// How many of its connections have a full inbox.
    congested: Mutex<u32>,
    relieved: Notify,
}

impl EngineSession {
    pub(crate) fn new(request: Request, transport: Option<Arc<Transport>>) -> Arc<Self> {
        Arc::new(Self {
            request,
            transport: transport.map_or_else(OnceLock::new, OnceLock::from),
            gates: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            attempted: AtomicBool::new(false),
            polled: Notify::new(),
            congested: Mutex::new(0),
            relieved: Notify::new(),
        })
    }

    pub(crate) fn transport(&self) -> Option<&Arc<Transport>> {
        self.transport.get()
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
        let mut inboxes = self.congested.lock().unwrap_or_else(PoisonError::into_inner);
        *inboxes = if congested { inboxes.saturating_add(1) } else { inboxes.saturating_sub(1) };
        if *inboxes == 0 {
            if let Some(transport) = self.transport.get() {
                transport.pause_reading(false);
            }
            self.relieved.notify_waiters();
        }
    }

    /// Reads from the WebSocket while no inbox is full. Only for one that is in use: during an upgrade the
    /// library delivers nothing, and no inbox would empty before it has read that it is complete.
    pub(crate) fn pause_while_congested(&self) {
        let inboxes = self.congested.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transport) = self.transport.get() {
            transport.pause_reading(*inboxes > 0);
        }
    }

    /// Waits until a polling client has been given what waited for it.
    pub(crate) fn polled(&self) -> Notified<'_> {
        self.polled.notified()
    }

    /// Waits until no inbox is full.
    async fn uncongested(&self) {
        loop {
            let relieved = self.relieved.notified();
            if *self.congested.lock().unwrap_or_else(PoisonError::into_inner) == 0 {
                return;
            }
            relieved.await;
        }
    }
}

/// The sessions that have connections, by their secret id.
#[derive(Default)]
pub(crate) struct EngineSessions(Mutex<HashMap<String, Known>>);

/// Either half of a polling session may come first: its first connection, or its upgrade.
#[derive(Default)]
struct Known {
    session: Option<Arc<EngineSession>>,
    upgrade: Option<Arc<Transport>>,
}

impl EngineSessions {
    /// Notes a connection of a session.
    pub(crate) fn connected(&self, id: String, session: &Arc<EngineSession>) {
        session.connections.fetch_add(1, Ordering::Relaxed);
        let mut sessions = self.lock();
        let known = sessions.entry(id).or_default();
        known.session = Some(Arc::clone(session));
        if let Some(transport) = known.upgrade.take() {
            session.transport.set(transport).ok();
        }
    }

    /// Notes the end of a connection.
    pub(crate) fn disconnected(&self, id: &str, session: &EngineSession) {
        if session.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.lock().remove(id);
        }
    }

    /// Notes that a polling session is being upgraded. It keeps polling if the upgrade fails; the
    /// transport is used only once the library says that it is a WebSocket.
    pub(crate) fn upgrading(&self, id: String, transport: Arc<Transport>) {
        let mut sessions = self.lock();
        let known = sessions.entry(id).or_default();
        match &known.session {
            Some(session) => {
                session.transport.set(transport).ok();
            }
            None => known.upgrade = Some(transport),
        }
    }

    /// Forgets an upgrade that no connection came for.
    pub(crate) fn upgrade_ended(&self, id: &str) {
        if let Entry::Occupied(known) = self.lock().entry(id.to_owned())
            && known.get().session.is_none()
        {
            known.remove();
        }
    }

    /// Waits until a session can take more from its client.
    pub(crate) async fn uncongested(&self, id: &str) {
        if let Some(session) = self.get(id) {
            session.uncongested().await;
        }
    }

    /// Notes that a polling client has been given what waited for it.
    pub(crate) fn polled(&self, id: &str) {
        if let Some(session) = self.get(id) {
            session.polled.notify_waiters();
        }
    }

    fn get(&self, id: &str) -> Option<Arc<EngineSession>> {
        self.lock().get(id).and_then(|known| known.session.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
