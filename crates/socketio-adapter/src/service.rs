//! The public HTTP service: which requests are ours, and what the library gets to see of them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use game_realtime_application::panics::panic_point;
use game_realtime_domain::Namespace;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{
        ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT,
        SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use tracing::debug;

use crate::{
    client_address::{TrustedProxies, counted},
    config::HttpConfig,
    engine_session::{self, EngineSession, EngineSessions, WayIn},
    gateway::Gateway,
    legacy_connect::{self, FrameFilter},
    library::EngineProtocol,
    origin::{Origin, OriginPolicy, is_known},
    peer::{Peer, Slot},
    query::Query,
    websocket::{Transport, WebSocketStream},
};

type Answer = Response<Full<Bytes>>;

/// How long a client's first packet is waited for before it is read like all that follow: one that comes
/// later comes alone.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// Answers the requests of clients.
pub(crate) struct Service {
    gateway: Arc<Gateway>,
    engine_sessions: Arc<EngineSessions>,
    origins: OriginPolicy,
    proxies: TrustedProxies,
    base_path: String,
}

impl Service {
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        engine_sessions: Arc<EngineSessions>,
        http: &HttpConfig,
    ) -> Self {
        Self {
            gateway,
            engine_sessions,
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
                origin.apply_preflight(&mut preflight);
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
        let body = if query.protocol == Some(EngineProtocol::V3) && is_text {
            let joins_by_packet = engine_request.way_in == WayIn::SocketIoNamespace;
            legacy_connect::checked_payload(body, joins_by_packet)
        } else {
            body
        };
        let mut lean = Request::new(Full::new(body));
        *lean.method_mut() = parts.method.clone();
        *lean.uri_mut() = query.lean_uri();
        if let Some(content_type) = content_type {
            lean.headers_mut().insert(CONTENT_TYPE, content_type.clone());
        }
        match &query.session {
            None => {
                lean.extensions_mut().insert(EngineSession::new(engine_request, None));
            }
            Some(id) if parts.method == Method::POST => {
                // A client that sends faster than its events commit waits here.
                timeout(limits.body_timeout, self.engine_sessions.uncongested(id)).await.ok();
            }
            Some(_) => {}
        }
        let mut answer = self.gateway.library().answer(lean).await;
        if let Some(id) = query.session.as_ref().filter(|_| parts.method == Method::GET) {
            self.engine_sessions.polled(id);
        }
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Turns the connection into a WebSocket and hands it to the library.
    fn upgrade(
        &self,
        mut request: Request<Incoming>,
        query: &Query,
        protocol: EngineProtocol,
        engine_request: engine_session::Request,
        slot: Slot,
    ) -> Answer {
        let headers = request.headers();
        let is_upgrade = headers
            .get(UPGRADE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
            && headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
        let accept = headers
            .get(SEC_WEBSOCKET_KEY)
            .map(|key| tungstenite::handshake::derive_accept_key(key.as_bytes()))
            .and_then(|accept| HeaderValue::from_str(&accept).ok())
            .filter(|_| is_upgrade);
        let Some(accept) = accept else {
            return error(StatusCode::BAD_REQUEST, "websocket handshake expected");
        };
        let upgraded = hyper::upgrade::on(&mut request);
        let gateway = Arc::clone(&self.gateway);
        let engine_sessions = Arc::clone(&self.engine_sessions);
        let session = query.session.clone();
        let legacy =
            protocol == EngineProtocol::V3 && engine_request.way_in == WayIn::SocketIoNamespace;
        let mut lean = Request::new(());
        *lean.uri_mut() = query.lean_uri();
        self.gateway.tasks().spawn(async move {
            let Ok(upgraded) = upgraded.await else { return };
            let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
            let limits = gateway.limits();
            let transport = Transport::new(
                parts.io.into_inner(),
                slot,
                limits.send_buffer_bytes,
                limits.write_timeout,
                gateway.tasks().clone(),
            );
            // One that upgrades may be paused for its inbox, and what is there already was read.
            let begins = session.is_none() && parts.read_buf.is_empty();
            let dropped = match session {
                None => {
                    let session = EngineSession::new(engine_request, Some(Arc::clone(&transport)));
                    lean.extensions_mut().insert(session);
                    None
                }
                Some(id) => {
                    engine_sessions.upgrading(id.clone(), Arc::clone(&transport));
                    let library = gateway.library().clone();
                    // A session whose upgrade broke off neither polls nor times out any more.
                    let dropped: Box<dyn FnOnce() + Send> = Box::new(move || {
                        engine_sessions.upgrade_ended(&id);
                        library.close_polling(&id, protocol);
                    });
                    Some(dropped)
                }
            };
            if begins {
                transport.pause_reading(true);
            }
            let stream = WebSocketStream::new(
                Arc::clone(&transport),
                &parts.read_buf,
                legacy.then(FrameFilter::default),
                dropped,
            );
            gateway.library().take_websocket(stream, lean);
            if begins {
                // To read what it says first is a step of its own.
                transport.readable(FIRST_WORD).await;
                gateway.turnstile().pass().await;
                transport.pause_reading(false);
            }
        });
        let mut answer = empty(StatusCode::SWITCHING_PROTOCOLS);
        let headers = answer.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        answer
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
