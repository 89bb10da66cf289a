//! The Socket.IO namespaces: who may join one, and what happens then.

use std::{collections::HashMap, convert::Infallible, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use game_realtime_application::{
    panics::{caught, panic_point},
    use_cases::{ConnectError, Connected},
    wire::{Answer, ErrorCode, Failure},
};
use game_realtime_domain::Namespace;
use serde_json::value::RawValue;
use socketioxide::{
    ProtocolVersion, SocketIo,
    adapter::LocalAdapter,
    extract::AckSender,
    handler::{
        ConnectHandler, DisconnectHandler, FromConnectParts, FromMessageParts, MessageHandler,
        Value,
    },
    socket::{DisconnectReason, Socket},
};
use tracing::{debug, info, warn};

use crate::{
    engine_session::{EngineSession, WayIn},
    gateway::Gateway,
    idle_transport::close_unless_connected,
    session::{Inbound, Session},
};

/// What a client sends to join a namespace.
struct Join {
    socket: Arc<Socket>,
    presented: Presented,
}

/// What of its payload counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Presented {
    pub(crate) token: Option<String>,
    pub(crate) cursor: Option<String>,
}

impl Presented {
    /// Takes what it understands: a guest's nonsense is ignored, a player's token that is no string is
    /// one that does not verify, a cursor that is no string is malformed.
    pub(crate) fn parse(json: &str) -> Self {
        // Field by field: one that cannot be read, such as half of a surrogate pair, is no other's fault.
        let auth: HashMap<String, &RawValue> = serde_json::from_str(json).unwrap_or_default();
        let text = |key: &str| match auth.get(key).map(|value| value.get()) {
            None | Some("null") => None,
            Some(value) => Some(serde_json::from_str(value).unwrap_or_else(|_| value.to_owned())),
        };
        Self { token: text("token"), cursor: text("cursor") }
    }
}

/// Waits in the socket between the client's acceptance and its being told.
#[derive(Clone)]
struct Accepted {
    session: Arc<Session>,
    cursor: Option<String>,
}

/// Why a client was refused. What it reads is exactly the error code.
struct Refusal(&'static str);

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// How soon a client that was refused can try again over the same transport.
const REST: Duration = Duration::from_millis(50);

/// What the library itself says of a namespace that is not there.
const UNKNOWN_NAMESPACE: Refusal = Refusal("Invalid namespace");

/// Adds the namespaces of both ways in.
pub(crate) fn register(io: &SocketIo, gateway: &Arc<Gateway>, base_path: &str) {
    for name in [
        "/".to_owned(),
        format!("{base_path}/{}", Namespace::Private),
        format!("{base_path}/{}", Namespace::Guest),
    ] {
        let game_namespace = name.rsplit('/').next().and_then(|name| name.parse().ok());
        let gateway = Arc::clone(gateway);
        let accept = move |join: Join| {
            let gateway = Arc::clone(&gateway);
            async move {
                let socket = Arc::clone(&join.socket);
                let accepted = caught(accept(Arc::clone(&gateway), game_namespace, join)).await;
                let accepted = accepted.unwrap_or(Err(Refusal(ErrorCode::Internal.as_str())));
                if accepted.is_err() {
                    rest(&gateway, &socket);
                }
                accepted
            }
        };
        io.ns(name, begin.with(accept));
    }
}

/// Decides whether a client joins, before it is told.
async fn accept(
    gateway: Arc<Gateway>,
    socket_io_namespace: Option<Namespace>,
    join: Join,
) -> Result<(), Refusal> {
    panic_point("accept");
    let Join { socket, presented: Presented { token, cursor } } = join;
    let engine = socket.req_parts().extensions.get::<Arc<EngineSession>>().cloned();
    let Some(engine) = engine else { return Err(Refusal(ErrorCode::Internal.as_str())) };
    let close_idle = || {
        let (engine, id) = (Arc::clone(&engine), socket.id.to_string());
        close_unless_connected(&gateway, engine, id, socket.protocol().into());
    };
    let namespace = match (engine.request.way_in, socket_io_namespace) {
        (WayIn::Path(namespace), None) | (WayIn::SocketIoNamespace, Some(namespace)) => namespace,
        // Clients of version 2 always join the root first. It is no game namespace to them.
        (WayIn::SocketIoNamespace, None) if socket.protocol() == ProtocolVersion::V4 => {
            socket.on_fallback(Bystander);
            close_idle();
            return Ok(());
        }
        (WayIn::SocketIoNamespace, None) | (WayIn::Path(_), Some(_)) => {
            return Err(UNKNOWN_NAMESPACE);
        }
    };
    let count = |outcome: &'static str| {
        let namespace = namespace.as_str();
        metrics::counter!(
            "game_realtime_connects_total", "namespace" => namespace, "outcome" => outcome
        )
        .increment(1);
    };
    let refused = |code: ErrorCode| {
        count(code.as_str());
        if socket.protocol() == ProtocolVersion::V4 {
            // The library times out clients of later versions only.
            close_idle();
        }
        Refusal(code.as_str())
    };
    if gateway.is_draining() {
        return Err(refused(ErrorCode::Unavailable));
    }
    // The handshake paid for the first attempt; a client could go on over one session for ever.
    if engine.is_repeated_attempt() && !gateway.takes_handshake(engine.request.client) {
        return Err(refused(ErrorCode::RateLimited));
    }
    let credentials = engine.request.credentials(token);
    let connected = gateway.connect().execute(namespace, &credentials, engine.request.client).await;
    let Connected { connection, expires_at, seat } = connected.map_err(|error| {
        report(namespace, &error);
        refused(ErrorCode::from(&error))
    })?;
    // Many are registered at once, and each has a lot to do now until it is ready.
    gateway.turnstile().pass().await;
    count("accepted");
    let cursor = cursor.or_else(|| engine.request.cursor.clone());
    let session = Session::new(gateway, connection, (seat, expires_at), engine, &socket);
    // Before the client can be told, so that no end of the socket is missed.
    socket.on_fallback(Inbound(Arc::clone(&session)));
    socket.on_disconnect(Ended(Arc::clone(&session)));
    socket.extensions.insert(Accepted { session, cursor });
    Ok(())
}

/// Ends a session with its socket, at once: while the library waits for a handler in a task of its own, it
/// ignores a client that joins again.
struct Ended(Arc<Session>);

impl DisconnectHandler<LocalAdapter, Ended> for Ended {
    fn call_with_defer(
        &self,
        socket: Arc<Socket>,
        reason: DisconnectReason,
        forget: fn(Arc<Socket>),
    ) {
        self.0.end(Some(reason));
        forget(socket);
    }
}

/// Reads nothing from a client for a while that is being refused. The library ignores an attempt that
/// comes before it is done with the last one, which is after the client was told.
fn rest(gateway: &Arc<Gateway>, socket: &Socket) {
    let engine = socket.req_parts().extensions.get::<Arc<EngineSession>>().cloned();
    let Some(engine) = engine else { return };
    engine.set_refusing(true);
    let rested = Arc::clone(gateway);
    gateway.tasks().spawn(async move {
        rested.pause(REST).await;
        engine.set_refusing(false);
    });
}

/// Goes on once the client was told that it is connected.
async fn begin(join: Join) {
    if let Some(Accepted { session, cursor }) = join.socket.extensions.remove() {
        session.begin(cursor).await;
    }
}

fn report(namespace: Namespace, error: &ConnectError) {
    let namespace = namespace.as_str();
    match error {
        // Counted by `game_realtime_refusals_total`; a crowd must not fill the log.
        ConnectError::TooManyConnections(refusal) => {
            debug!(namespace, reason = refusal.as_str(), "connection refused");
        }
        ConnectError::Unauthenticated(reason) => {
            info!(namespace, reason = reason.as_str(), "connection refused");
        }
        ConnectError::VerifierUnavailable(cause) => {
            warn!(namespace, %error, %cause, "connection refused");
        }
        ConnectError::Store(store) => {
            warn!(namespace, %error, cause = %store.source, "connection refused");
        }
    }
}

impl FromConnectParts<LocalAdapter> for Join {
    type Error = Infallible;

    fn from_connect_parts(socket: &Arc<Socket>, auth: &Option<Value>) -> Result<Self, Infallible> {
        let presented = match auth {
            Some(Value::Str(json, _)) => Presented::parse(json),
            Some(Value::Bytes(_)) | None => Presented::default(),
        };
        Ok(Self { socket: Arc::clone(socket), presented })
    }
}

/// Answers events in the root namespace of a client that came for another one.
struct Bystander;

impl MessageHandler<LocalAdapter, Bystander> for Bystander {
    fn call(&self, socket: Arc<Socket>, _data: Value, acknowledgement: Option<i64>) {
        let mut none = Value::Bytes(Bytes::new());
        match AckSender::from_message_parts(&socket, &mut none, &acknowledgement) {
            // If there is no room for the answer, the client has more pressing troubles.
            Ok(sender) => {
                sender.send(&Answer::Failed(Failure::of(ErrorCode::Forbidden))).ok();
            }
            Err(never) => match never {},
        }
    }
}
