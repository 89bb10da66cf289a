//! socketioxide, set up and called: the only place that knows its service.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::service::Service;
use socketioxide::{ParserConfig, ProtocolVersion, SocketIo, service::SocketIoService};
use tokio::{task::unconstrained, time::sleep};
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::{config::LimitsConfig, polling_payload, websocket::WebSocketStream};

/// Packets that may wait in the library's own queue of one session. Domain events wait there only
/// while the client polls, and all of them go out with the next poll: python-engineio clients give up
/// on a poll with more than 16 packets (`Payload.max_decode_packets`), and a few may be added while
/// the response is being made.
const LIBRARY_QUEUE: usize = 12;
/// How long a refusal may take to be written.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);
/// What the WebSocket reads at once; it is allocated for every connection.
const READ_BUFFER: usize = 512;

/// The Socket.IO server behind our HTTP service.
#[derive(Clone)]
pub(crate) struct Library {
    service: SocketIoService<NotFound>,
    tasks: TaskTracker,
}

impl Library {
    /// `answer_timeout` is how long the store may take to let a client in or refuse it.
    pub(crate) fn new(
        limits: &LimitsConfig,
        answer_timeout: Duration,
        tasks: TaskTracker,
    ) -> (Self, SocketIo) {
        // A client that waits for the store must be told so before it is given up.
        let connect_timeout = limits.connect_timeout.max(answer_timeout + ANSWER_MARGIN);
        let (service, io) = SocketIo::builder()
            // Paths are matched before; see `crate::service`.
            .req_path("/")
            .ping_interval(limits.ping_interval)
            .ping_timeout(limits.ping_timeout)
            .connect_timeout(connect_timeout)
            .max_payload(limits.payload_bytes as u64)
            .ws_max_message_size(limits.payload_bytes)
            .ws_max_frame_size(limits.payload_bytes)
            .ws_read_buffer_size(READ_BUFFER)
            .max_buffer_size(LIBRARY_QUEUE)
            .with_parser(
                ParserConfig::common()
                    .max_incoming_binary_buf_size(limits.payload_bytes)
                    // No event takes binary data; one attachment is enough to say so.
                    .max_incoming_binaries(1)
                    .packet_completion_timeout(limits.body_timeout),
            )
            .build_with_inner_svc(NotFound);
        (Self { service, tasks }, io)
    }

    /// Answers a polling request, or one that is malformed. A poll that is dropped before it is answered
    /// has taken nothing out of the library's queue.
    pub(crate) async fn answer(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let response = match Service::call(&self.service, request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (parts, body) = response.into_parts();
        match body.collect().await {
            Ok(body) => Response::from_parts(parts, body.to_bytes()),
            Err(error) => {
                debug!(%error, "response body failed");
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }

    /// Hands over a WebSocket. The request's query was checked before.
    pub(crate) fn take_websocket(&self, stream: WebSocketStream, request: Request<()>) {
        // Boxed, for the library keeps room for it in several places.
        let stream = Box::new(stream);
        let taken: Result<(), _> =
            Service::<(Box<WebSocketStream>, Request<()>)>::call(&self.service, (stream, request))
                .into_inner();
        if let Err(error) = taken {
            debug!(%error, "websocket refused");
        }
    }

    /// Takes out what waits for the next poll of a session, as Engine.IO packets. Nobody else may poll.
    pub(crate) async fn queued(&self, engine_id: &str, protocol: EngineProtocol) -> Vec<String> {
        let mut queued = Vec::new();
        // Once for each payload: the library fills one until the next packet is too many.
        loop {
            let version = protocol.version();
            let request = Request::builder()
                .uri(format!("/?EIO={version}&transport=polling&sid={engine_id}"))
                .body(Full::default());
            let Ok(request) = request else { return queued };
            let answer = unconstrained(self.answer(request)).now_or_never();
            let Some(answer) = answer.filter(|answer| answer.status() == StatusCode::OK) else {
                return queued;
            };
            let payload = String::from_utf8(answer.into_body().into()).unwrap_or_default();
            let before = queued.len();
            queued.extend(protocol.packets(&payload));
            if queued.len() == before {
                return queued;
            }
        }
    }

    /// Does something after a while.
    pub(crate) fn later(&self, delay: Duration, act: impl FnOnce(Self) + Send + 'static) {
        let library = self.clone();
        self.tasks.spawn(async move {
            sleep(delay).await;
            act(library);
        });
    }

    /// Closes the session of a client that polls, as the client itself would; any other session is
    /// left alone. The library has no other way to close a transport without a Socket.IO
    /// disconnect, after which stock clients stay away.
    pub(crate) fn close_polling(&self, engine_id: &str, protocol: EngineProtocol) {
        let version = protocol.version();
        let body = match protocol {
            EngineProtocol::V3 => "1:1",
            EngineProtocol::V4 => "1",
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/?EIO={version}&transport=polling&sid={engine_id}"))
            .body(Full::new(Bytes::from_static(body.as_bytes())));
        if let Ok(request) = request {
            let library = self.clone();
            self.tasks.spawn(async move { library.answer(request).await });
        }
    }
}

/// The versions of the Engine.IO protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineProtocol {
    /// Socket.IO clients 2.
    V3,
    /// Socket.IO clients 3 and 4.
    V4,
}

impl EngineProtocol {
    fn version(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// The answer to a poll that has nothing to say.
    pub(crate) fn noop_payload(self) -> &'static str {
        match self {
            Self::V3 => "1:6",
            Self::V4 => NOOP,
        }
    }

    /// The packets of a payload that the library made, but for those that say nothing.
    fn packets(self, payload: &str) -> Vec<String> {
        let packets = match self {
            Self::V3 => polling_payload::packets(payload).unwrap_or_default(),
            Self::V4 => payload.split(SEPARATOR).collect(),
        };
        let says_something = |packet: &&str| !packet.is_empty() && *packet != NOOP;
        packets.into_iter().filter(says_something).map(str::to_owned).collect()
    }
}

/// An Engine.IO packet that says nothing.
const NOOP: &str = "6";
/// Between the packets of a payload of version 4.
const SEPARATOR: char = '\u{1e}';

/// The id of the session that an answer opens, if it does.
pub(crate) fn opened_session(answer: &Response<Bytes>) -> Option<String> {
    let body = std::str::from_utf8(answer.body()).ok()?;
    let (_, id) = body.split_once(r#"{"sid":""#)?;
    let (id, _) = id.split_once('"')?;
    (answer.status() == StatusCode::OK).then(|| id.to_owned())
}

impl From<ProtocolVersion> for EngineProtocol {
    fn from(version: ProtocolVersion) -> Self {
        match version {
            ProtocolVersion::V4 => Self::V3,
            ProtocolVersion::V5 => Self::V4,
        }
    }
}

/// What the library would ask for paths that are not its own; it is never given any.
#[derive(Clone)]
pub(crate) struct NotFound;

impl Service<Request<Full<Bytes>>> for NotFound {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn call(&self, _request: Request<Full<Bytes>>) -> Self::Future {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        std::future::ready(Ok(response))
    }
}
