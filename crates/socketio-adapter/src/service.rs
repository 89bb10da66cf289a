//! The public HTTP service: which requests are ours, and what the library gets to see of them.

use std::sync::Arc;

use bytes::Bytes;
use game_realtime_application::panics::panic_point;
use game_realtime_domain::Namespace;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;
use tracing::debug;

use crate::{
    client_address::{TrustedProxies, counted},
    config::HttpConfig,
    engine_session::{self, EngineSession, EngineSessions, WayIn},
    gateway::Gateway,
    handshake,
    library::{EngineProtocol, Library, opened_session},
    origin::{Origin, OriginPolicy, is_known},
    peer::{Peer, Slot},
    polling_payload,
    query::Query,
    upgrade::Upgrade,
};

type Answer = Response<Full<Bytes>>;

/// Answers the requests of clients.
pub(crate) struct Service {
    gateway: Arc<Gateway>,
    engine_sessions: Arc<EngineSessions>,
    origins: OriginPolicy,
    proxies: TrustedProxies,
    base_path: String,
}

impl Service {
    pub(crate) fn new(gateway: Arc<Gateway>, http: &HttpConfig) -> Self {
        Self {
            gateway,
            engine_sessions: Arc::default(),
            origins: OriginPolicy::new(&http.allowed_origins),
            proxies: TrustedProxies::new(http.trusted_proxies.clone()),
            base_path: http.base_path.clone(),
        }
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        panic_point("request");
        let Some(way_in) = way_in(&self.base_path, request.uri().path()) else {
            return error(StatusCode::NOT_FOUND, "not found");
        };
        let origin = self.origins.check(request.headers());
        let mut answer = match origin {
            Origin::Refused => error(StatusCode::FORBIDDEN, "forbidden"),
            Origin::None | Origin::Allowed(_) if request.method() == Method::OPTIONS => {
                let mut preflight = empty(StatusCode::NO_CONTENT);
                origin.apply_preflight(request.headers(), &mut preflight);
                return preflight;
            }
            Origin::None | Origin::Allowed(_) if !is_known(request.method()) => {
                let mut refused = error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
                refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST, OPTIONS"));
                refused
            }
            Origin::None | Origin::Allowed(_) => self.admit(request, way_in, peer).await,
        };
        origin.apply(&mut answer);
        answer
    }

    async fn admit(&self, request: Request<Incoming>, way_in: WayIn, peer: Peer) -> Answer {
        let query = Query::parse(request.uri().query().unwrap_or_default());
        if query.session.is_none() && self.gateway.is_draining() {
            return error(StatusCode::SERVICE_UNAVAILABLE, "unavailable");
        }
        let client = counted(self.proxies.client(peer.address, request.headers()));
        if query.session.is_none() && !self.gateway.takes_handshake(client) {
            let mut refused = error(StatusCode::TOO_MANY_REQUESTS, "rate_limited");
            refused.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return refused;
        }
        let engine_request = engine_session::Request {
            way_in,
            headers: wanted(request.headers(), self.gateway.connect().headers()),
            cursor: query.cursor.clone(),
            peer: peer.address,
            client,
        };
        match query.protocol {
            Some(protocol) if query.websocket && request.method() == Method::GET => {
                self.upgrade(request, &query, protocol, engine_request, peer.slot)
            }
            Some(_) | None => self.poll(request, &query, engine_request).await,
        }
    }

    /// Passes a polling request on; the library also answers what is malformed.
    async fn poll(
        &self,
        request: Request<Incoming>,
        query: &Query,
        engine_request: engine_session::Request,
    ) -> Answer {
        let limits = self.gateway.limits();
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, limits.payload_bytes).collect();
        let body = match timeout(limits.body_timeout, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(cause)) => {
                debug!(%cause, "request body refused");
                return error(StatusCode::PAYLOAD_TOO_LARGE, "payload too large");
            }
            Err(_elapsed) => return error(StatusCode::REQUEST_TIMEOUT, "timed out"),
        };
        let content_type = parts.headers.get(CONTENT_TYPE);
        // As the library tells them apart.
        let is_text = content_type.is_none_or(|it| it != "application/octet-stream");
        let joins_by_packet = engine_request.way_in == WayIn::SocketIoNamespace;
        let body = match query.protocol {
            Some(protocol) => polling_payload::checked(body, protocol, is_text, joins_by_packet),
            None => body,
        };
        let mut lean = Request::new(Full::new(body));
        *lean.method_mut() = parts.method.clone();
        *lean.uri_mut() = query.lean_uri();
        if let Some(content_type) = content_type {
            lean.headers_mut().insert(CONTENT_TYPE, content_type.clone());
        }
        let library = self.gateway.library();
        let known = query.session.as_ref().map(|id| self.engine_sessions.get(id));
        let mut answer = match known {
            None => {
                let session = EngineSession::on_polling(engine_request);
                lean.extensions_mut().insert(Arc::clone(&session));
                let answer = library.answer(lean).await;
                if let Some(id) = opened_session(&answer) {
                    self.engine_sessions.opened(id, &session);
                }
                answer.map(Full::new)
            }
            // The library says so.
            Some(None) => library.answer(lean).await.map(Full::new),
            Some(Some(session)) if parts.method == Method::GET => {
                let answer = wait(library, &session, query.protocol, lean).await;
                session.note_poll();
                answer
            }
            Some(Some(session)) => {
                // A client that sends faster than its events commit waits here.
                timeout(limits.body_timeout, session.uncongested()).await.ok();
                library.answer(lean).await.map(Full::new)
            }
        };
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Turns the connection into a WebSocket and hands it to the library.
    fn upgrade(
        &self,
        request: Request<Incoming>,
        query: &Query,
        protocol: EngineProtocol,
        engine_request: engine_session::Request,
        slot: Slot,
    ) -> Answer {
        let Some(accepted) = handshake::accept(&request) else {
            let mut refused = error(StatusCode::BAD_REQUEST, "websocket handshake expected");
            refused.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            return refused;
        };
        let session = match &query.session {
            None => None,
            Some(id) => match self.engine_sessions.get(id) {
                Some(session) => Some((id.clone(), session)),
                None => return error(StatusCode::BAD_REQUEST, "unknown session"),
            },
        };
        let mut lean = Request::new(());
        *lean.uri_mut() = query.lean_uri();
        let upgrade = Upgrade {
            gateway: Arc::clone(&self.gateway),
            protocol,
            joins_by_packet: engine_request.way_in == WayIn::SocketIoNamespace,
            slot,
            lean,
        };
        let gateway = &self.gateway;
        gateway.tasks().spawn(async move {
            match session {
                None => upgrade.begin_session(request, engine_request).await,
                Some((id, session)) => upgrade.move_session(request, id, &session).await,
            }
        });
        let mut answer = empty(StatusCode::SWITCHING_PROTOCOLS);
        answer.headers_mut().extend(accepted);
        answer
    }
}

/// Answers a poll, at the latest when the client upgrades: it waits for that.
async fn wait(
    library: &Library,
    session: &EngineSession,
    protocol: Option<EngineProtocol>,
    lean: Request<Full<Bytes>>,
) -> Answer {
    let polling = session.polling();
    let Some((polling, _turn)) = polling.and_then(|it| Some((it, it.try_turn()?))) else {
        // Two polls at once end a session; the library does so.
        return library.answer(lean).await.map(Full::new);
    };
    // The library has taken nothing out of its queue while it does not answer, so nothing is lost.
    tokio::select! {
        biased;
        answer = library.answer(lean) => answer.map(Full::new),
        () = polling.is_ended() => {
            let nothing = protocol.unwrap_or(EngineProtocol::V4).noop_payload();
            let mut answer = Response::new(Full::from(nothing));
            let text = HeaderValue::from_static("text/plain; charset=UTF-8");
            answer.headers_mut().insert(CONTENT_TYPE, text);
            answer
        }
    }
}

/// Which way in a path is, if it is one. A trailing slash makes no difference.
pub(crate) fn way_in(base_path: &str, path: &str) -> Option<WayIn> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if path == "/socket.io" {
        return Some(WayIn::SocketIoNamespace);
    }
    let name = path.strip_prefix(base_path)?.strip_prefix('/')?;
    name.parse::<Namespace>().ok().map(WayIn::Path)
}

/// Copies of the headers that identification asked for.
fn wanted(headers: &HeaderMap, names: &[String]) -> Vec<(String, Vec<u8>)> {
    names
        .iter()
        .flat_map(|name| {
            headers.get_all(name).iter().map(|value| (name.clone(), value.as_bytes().to_vec()))
        })
        .collect()
}

fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn error(status: StatusCode, message: &'static str) -> Answer {
    let mut response = Response::new(Full::from(message));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The root, for a request whose own URI cannot be written.
pub(crate) fn root() -> Uri {
    Uri::from_static("/")
}
