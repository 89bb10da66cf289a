//! The outgoing side of one connection: events, answers, and its end.

mod room;

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use game_realtime_application::{
    OutgoingEvent, PacketFormat,
    ports::{ClientPush, CloseReason, ConnectionGone, PushOutcome},
    wire::{Answer, event_body},
};
use serde::Serialize;
use serde_json::value::RawValue;
use socketioxide::{
    TransportType,
    extract::AckSender,
    handler::{FromMessageParts, Value},
    socket::Socket,
};
use tokio::time::{Instant, timeout};

use self::room::{RESERVED_BY_ANSWERS, RESERVED_BY_EVENTS, has_room, no_room, outcome};
use crate::{
    engine_session::{EngineSession, WayIn},
    library::Library,
    websocket::{Gate, MARK, Transport, text_frame},
    wire,
};

/// Frames to a client that came in by path.
const PATH_FRAMES: PacketFormat = PacketFormat(0);
/// Frames to a client in the Socket.IO namespace of players.
const PRIVATE_FRAMES: PacketFormat = PacketFormat(1);
/// Frames to a client in the Socket.IO namespace of guests.
const GUEST_FRAMES: PacketFormat = PacketFormat(2);
/// The argument alone, for clients that poll: the library makes packets of it.
const BODIES: PacketFormat = PacketFormat(3);

/// What a shared frame holds besides its bytes.
const FRAME_COUNTS: usize = 40;

/// How often a polling client is tried again, if it did not poll.
const POLLING_RETRY: Duration = Duration::from_millis(50);
/// How long a client that was told to stay away may take to go.
const FAREWELL: Duration = Duration::from_secs(1);

/// How events reach one connection. It begins in the library's queue and moves to the transport
/// of its own as soon as there is one (see [`crate::websocket`]); polling stays in the queue.
pub(crate) struct ConnectionPush {
    /// Weak, because the socket owns what owns this.
    socket: Weak<Socket>,
    engine: Arc<EngineSession>,
    library: Library,
    format: PacketFormat,
    /// What follows the packet type: nothing, or the Socket.IO namespace and a comma.
    prefix: String,
    gate: Gate,
    route: Mutex<Route>,
    write_timeout: Duration,
    closing: OnceLock<CloseReason>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    Library,
    Transport,
}

impl ConnectionPush {
    pub(crate) fn new(
        socket: &Arc<Socket>,
        engine: Arc<EngineSession>,
        library: Library,
        namespace: game_realtime_domain::Namespace,
        write_timeout: Duration,
    ) -> Self {
        let (format, prefix) = match (engine.request.way_in, namespace) {
            (WayIn::Path(_), _) => (PATH_FRAMES, String::new()),
            (WayIn::SocketIoNamespace, game_realtime_domain::Namespace::Private) => {
                (PRIVATE_FRAMES, format!("{},", socket.ns()))
            }
            (WayIn::SocketIoNamespace, game_realtime_domain::Namespace::Guest) => {
                (GUEST_FRAMES, format!("{},", socket.ns()))
            }
        };
        Self {
            socket: Arc::downgrade(socket),
            gate: engine.new_gate(),
            engine,
            library,
            format,
            prefix,
            route: Mutex::new(Route::Library),
            write_timeout,
            closing: OnceLock::new(),
        }
    }

    /// Why the gateway ended the connection, if it did.
    pub(crate) fn closing(&self) -> Option<CloseReason> {
        self.closing.get().copied()
    }

    /// Why the connection has ended, if the client did not end it: the transport gives up by itself on a
    /// client that does not read, and may be the first to do so.
    pub(crate) fn ended(&self) -> Option<CloseReason> {
        let gave_up = || self.engine.transport().is_some_and(|transport| transport.gave_up());
        self.closing().or_else(|| gave_up().then_some(CloseReason::SlowConsumer))
    }

    /// Answers an event: calls the client's callback, or emits an error if it gave none.
    ///
    /// # Errors
    /// When the connection ends before there was room.
    pub(crate) async fn answer(
        &self,
        acknowledgement: Option<i64>,
        event: &str,
        answer: &Answer,
    ) -> Result<(), ConnectionGone> {
        let deadline = Instant::now() + self.write_timeout;
        loop {
            match self.try_answer(acknowledgement, event, answer) {
                PushOutcome::Taken => return Ok(()),
                PushOutcome::Gone => return Err(ConnectionGone),
                PushOutcome::Full if Instant::now() < deadline => {
                    timeout(POLLING_RETRY, self.engine.polled()).await.ok();
                }
                PushOutcome::Full => {
                    self.close(CloseReason::SlowConsumer);
                    return Err(ConnectionGone);
                }
            }
        }
    }

    /// Answers an event if there is room now.
    pub(crate) fn try_answer(
        &self,
        acknowledgement: Option<i64>,
        event: &str,
        answer: &Answer,
    ) -> PushOutcome {
        match (acknowledgement, answer) {
            (Some(id), _) => self.acknowledge(id, answer),
            (None, Answer::Failed(failure)) => {
                self.emit(wire::ERROR, &wire::ErrorEvent::new(failure, event))
            }
            (None, Answer::Committed { .. }) => PushOutcome::Taken,
        }
    }

    fn acknowledge(&self, id: i64, answer: &Answer) -> PushOutcome {
        self.hand_over(
            |transport| match serde_json::to_string(answer) {
                Ok(json) => {
                    let id = id.to_string();
                    let frame = text_frame(&["43", &self.prefix, &id, "[", &json, "]"]);
                    transport.push(self.gate, &frame)
                }
                Err(_) => PushOutcome::Gone,
            },
            |socket| {
                if !has_room(socket, RESERVED_BY_ANSWERS) {
                    return no_room(socket);
                }
                let mut none = Value::Bytes(Bytes::new());
                match AckSender::from_message_parts(socket, &mut none, &Some(id)) {
                    Ok(sender) => outcome(&sender.send(answer)),
                    Err(never) => match never {},
                }
            },
        )
    }

    /// Sends an event that is for this connection alone.
    pub(crate) fn emit<T: Serialize>(&self, name: &str, argument: &T) -> PushOutcome {
        self.hand_over(
            |transport| match serde_json::to_string(&(name, argument)) {
                Ok(json) => transport.push(self.gate, &text_frame(&["42", &self.prefix, &json])),
                Err(_) => PushOutcome::Gone,
            },
            |socket| {
                if has_room(socket, RESERVED_BY_ANSWERS) {
                    outcome(&socket.emit(name, argument))
                } else {
                    no_room(socket)
                }
            },
        )
    }

    /// Hands something to the transport, to which the connection moves if the client has one by now, or
    /// else to the library. What was handed over before arrives before it.
    fn hand_over(
        &self,
        to_transport: impl FnOnce(&Arc<Transport>) -> PushOutcome,
        to_library: impl FnOnce(&Arc<Socket>) -> PushOutcome,
    ) -> PushOutcome {
        if self.closing().is_some() {
            return PushOutcome::Gone;
        }
        let transport = self.engine.transport();
        let mut route = self.route.lock().unwrap_or_else(PoisonError::into_inner);
        if *route == Route::Library {
            let Some(socket) = self.socket.upgrade() else { return PushOutcome::Gone };
            let is_websocket = socket.transport_type() == TransportType::Websocket;
            let Some(transport) = transport.filter(|_| is_websocket) else {
                // Still locked: nobody may move the connection before the library has it.
                return to_library(&socket);
            };
            transport.hold(self.gate);
            match outcome(&socket.emit(MARK, &self.gate)) {
                PushOutcome::Taken => *route = Route::Transport,
                refused @ (PushOutcome::Full | PushOutcome::Gone) => {
                    transport.release(self.gate);
                    return refused;
                }
            }
        }
        drop(route);
        transport.map_or(PushOutcome::Gone, to_transport)
    }

    /// Whether the client is on a WebSocket, or has moved to one.
    pub(crate) fn is_websocket(&self) -> bool {
        let socket = self.socket.upgrade();
        socket.is_some_and(|socket| socket.transport_type() == TransportType::Websocket)
    }

    /// Tells the client to stay away, after which it closes its transport itself; it is closed for
    /// those that do not. Until then the socket stays: the library would close the transport at
    /// the next event that the client has sent before it was told, and what it was told be lost.
    fn dismiss(&self, socket: Arc<Socket>, reason: CloseReason) {
        let engine = Arc::clone(&self.engine);
        let transport = engine.transport().map(Arc::clone);
        let is_websocket = socket.transport_type() == TransportType::Websocket;
        if let Some(transport) = transport.filter(|_| is_websocket) {
            let told = transport.push(self.gate, &text_frame(&["41", &self.prefix]));
            let told = told == PushOutcome::Taken;
            self.library.later(farewell(told), move |library| {
                // Others on the same transport stay, unless they share what it is dismissed for.
                let alone = !told || !reason.spares_others();
                if alone || Arc::clone(&socket).disconnect().is_err() {
                    close_transport(&library, &engine, &socket, reason);
                }
            });
        } else {
            // The rest of the request that is being read.
            self.library.later(POLLING_RETRY, move |library| {
                let told = Arc::clone(&socket).disconnect().is_ok();
                library.later(farewell(told), move |library| {
                    let others = reason.spares_others() && engine.is_connected();
                    if !told || !others {
                        close_transport(&library, &engine, &socket, reason);
                    }
                });
            });
        }
    }

    fn push_through_library(socket: &Socket, event: &OutgoingEvent) -> PushOutcome {
        if !has_room(socket, RESERVED_BY_EVENTS) {
            return no_room(socket);
        }
        let body = event.packet(BODIES, |event| {
            let body = body(event);
            let length = body.len();
            (wire::raw(body).ok(), length)
        });
        match body {
            Some(Some(body)) => {
                let body: &RawValue = body;
                let name = event.event().event.payload.event_type.as_str();
                outcome(&socket.emit(name, body))
            }
            // Nothing that can be sent: better no connection than one with a hole.
            Some(None) | None => PushOutcome::Gone,
        }
    }

    fn take(
        &self,
        event: &OutgoingEvent,
        hand: impl FnOnce(&Arc<Transport>, Gate, &Bytes) -> PushOutcome,
    ) -> PushOutcome {
        self.hand_over(
            |transport| {
                let frame = event.packet(self.format, |event| {
                    let frame = self.frame(event);
                    let held = frame.len() + FRAME_COUNTS;
                    (frame, held)
                });
                frame.map_or(PushOutcome::Gone, |frame| hand(transport, self.gate, frame))
            },
            |socket| Self::push_through_library(socket, event),
        )
    }

    fn frame(&self, event: &OutgoingEvent) -> Bytes {
        let name = event.event().event.payload.event_type.as_str();
        let body = body(event);
        text_frame(&["42", &self.prefix, "[\"", name, "\",", &body, "]"])
    }
}

#[async_trait]
impl ClientPush for ConnectionPush {
    fn push(&self, event: &OutgoingEvent) -> PushOutcome {
        self.take(event, Transport::push)
    }

    fn queue(&self, event: &OutgoingEvent) -> PushOutcome {
        self.take(event, Transport::queue)
    }

    fn flush(&self) {
        if let Some(transport) = self.engine.transport() {
            transport.flush();
        }
    }

    async fn writable(&self) -> Result<(), ConnectionGone> {
        let is_moved =
            *self.route.lock().unwrap_or_else(PoisonError::into_inner) == Route::Transport;
        if is_moved {
            let transport = self.engine.transport().ok_or(ConnectionGone)?;
            return transport.writable().await;
        }
        let deadline = Instant::now() + self.write_timeout;
        loop {
            // Made before the check, so that a poll in between is noticed.
            let polled = self.engine.polled();
            {
                let socket = self.socket.upgrade().ok_or(ConnectionGone)?;
                if has_room(&socket, RESERVED_BY_EVENTS) {
                    return Ok(());
                }
                if !socket.connected() || Instant::now() >= deadline {
                    return Err(ConnectionGone);
                }
            }
            timeout(POLLING_RETRY, polled).await.ok();
        }
    }

    fn close(&self, reason: CloseReason) {
        if self.closing.set(reason).is_err() {
            return;
        }
        let Some(socket) = self.socket.upgrade() else { return };
        if reason.is_final() {
            self.dismiss(socket, reason);
        } else {
            close_transport(&self.library, &self.engine, &socket, reason);
        }
    }
}

fn close_transport(
    library: &Library,
    engine: &EngineSession,
    socket: &Socket,
    reason: CloseReason,
) {
    match engine.transport() {
        Some(transport) if socket.transport_type() == TransportType::Websocket => match reason {
            CloseReason::SlowConsumer | CloseReason::TokenExpired | CloseReason::Kicked => {
                transport.abort();
            }
            CloseReason::Drain
            | CloseReason::HistoryLost
            | CloseReason::Isolated
            | CloseReason::Behind
            | CloseReason::Unregistered
            | CloseReason::Abuse
            | CloseReason::Internal => transport.finish(),
        },
        Some(_) | None => {
            library.close_polling(&socket.id.to_string(), socket.protocol().into());
        }
    }
}

/// How long a client has that was told to stay away, or could not be.
fn farewell(told: bool) -> Duration {
    if told { FAREWELL } else { Duration::ZERO }
}

/// The one argument of a domain event.
fn body(event: &OutgoingEvent) -> String {
    event_body(&event.event().event, &event.cursor())
}
