//! The HTTP server of the admin port.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{Api, Config, Metrics, Readiness, routes};

/// Probes, a scraper and a person or two; more wait in the backlog.
const MOST_CONNECTIONS: usize = 64;

/// How long a client may take for its request head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest request head, in bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// How long a connection lives at most, besides what the API may take for an answer. It carries one
/// request, so nobody can keep one of the few places.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(10);

/// How long to leave `accept` alone after it failed, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often readiness is asked for its metrics and its log, and metrics get their upkeep.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// What is being answered when the server stops may take so much longer.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// The admin port, taken but not yet answering.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Where it listens; says which port the system chose for port 0.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

/// What every connection needs.
struct Context {
    readiness: Readiness,
    metrics: Metrics,
    api: Option<Api>,
}

impl Context {
    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        match &self.api {
            Some(api) if Api::is_at(request.uri().path()) => api.answer(request, peer).await,
            Some(_) | None => routes::answer(&request, &self.readiness, &self.metrics).await,
        }
    }

    /// How long a connection lives at most.
    fn connection_lifetime(&self) -> Duration {
        CONNECTION_LIFETIME + self.api.as_ref().map_or(Duration::ZERO, Api::patience)
    }
}

/// Takes the admin port.
///
/// # Errors
/// When the system refuses, say because another process has it.
pub async fn bind(config: &Config) -> io::Result<Listener> {
    let socket = TcpListener::bind((config.host, config.port)).await?;
    let address = socket.local_addr()?;
    Ok(Listener { socket, address })
}

/// Answers on the admin port until `stop` is cancelled; everything it started has ended then.
/// Without `api` there is none.
pub async fn serve(
    listener: Listener,
    readiness: Readiness,
    metrics: Metrics,
    api: Option<Api>,
    stop: CancellationToken,
) {
    let context = Arc::new(Context { readiness, metrics, api });
    let mut connections = JoinSet::new();
    tokio::select! {
        () = stop.cancelled() => {}
        () = accept(&listener.socket, &context, &mut connections) => {}
        () = upkeep(&context) => {}
    }
    drop(listener);
    let all_answered = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP_GRACE, all_answered).await.is_err() {
        connections.shutdown().await;
    }
}

async fn accept(socket: &TcpListener, context: &Arc<Context>, connections: &mut JoinSet<()>) {
    loop {
        tokio::select! {
            // Collects those that ended.
            Some(_) = connections.join_next() => {}
            accepted = socket.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(converse(stream, peer.ip(), Arc::clone(context)));
                }
                Err(error) => {
                    warn!(error = %error, "admin port cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn converse(stream: TcpStream, peer: IpAddr, context: Arc<Context>) {
    let service = service_fn(|request| {
        let context = Arc::clone(&context);
        async move { Ok::<_, Infallible>(context.answer(request, peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        // One that sends no more may still read, as `nc -N` does.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(context.connection_lifetime(), connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(error = %error, "admin connection failed"),
        Err(_) => debug!("admin connection took too long"),
    }
}

async fn upkeep(context: &Context) {
    let mut ticks = interval(UPKEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        context.metrics.upkeep();
        context.readiness.reasons().await;
    }
}
#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        task::JoinHandle,
    };

    use super::*;
    use crate::readiness::tests::{Store, readiness};

    struct Server {
        address: SocketAddr,
        stop: CancellationToken,
        task: JoinHandle<()>,
    }

    async fn start(readiness: Readiness) -> Server {
        let config = Config { host: "127.0.0.1".parse().unwrap(), port: 0, api_token: None };
        let listener = bind(&config).await.unwrap();
        let address = listener.local_addr();
        let stop = CancellationToken::new();
        let task =
            tokio::spawn(serve(listener, readiness, Metrics::for_tests(), None, stop.clone()));
        Server { address, stop, task }
    }

    /// Everything the server says to one request until it closes the connection.
    async fn ask(server: &Server, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: admin\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    const CURRENT: Option<Duration> = Some(Duration::ZERO);

    #[tokio::test]
    async fn a_healthy_node_answers_every_path() {
        let server = start(readiness(Store::Up, CURRENT)).await;
        for (path, content_type, body) in [
            ("/healthz", "application/json", r#"{"status":"ok"}"#),
            ("/readyz?verbose", "application/json", r#"{"status":"ready","reasons":[]}"#),
            ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "game_realtime_store_up"),
        ] {
            let answer = ask(&server, "GET", path).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.contains(&format!("content-type: {content_type}\r\n")), "{answer}");
            assert!(answer.contains(body), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_node_that_is_not_ready_says_why_and_is_still_alive() {
        let server = start(readiness(Store::Down, CURRENT)).await;
        let answer = ask(&server, "GET", "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        let body = r#"{"status":"not_ready","reasons":[{"check":"store","message":"store unavailable: connection refused"}]}"#;
        assert!(answer.ends_with(body), "{answer}");
        assert!(ask(&server, "GET", "/healthz").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn a_client_that_sends_no_more_is_answered() {
        let server = start(readiness(Store::Up, CURRENT)).await;
        for _ in 0..50 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: admin\r\n\r\n").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn head_is_answered_without_a_body() {
        let server = start(readiness(Store::Up, CURRENT)).await;
        let answer = ask(&server, "HEAD", "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-length: 15\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        let server = start(readiness(Store::Up, CURRENT)).await;
        for path in [
            "/",
            "/healthz/",
            "/metricsx",
            "/core/game/v1/real-time/private",
            "/api/v1/openapi.json",
        ] {
            assert!(ask(&server, "GET", path).await.starts_with("HTTP/1.1 404 "), "{path}");
        }
        let answer = ask(&server, "POST", "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error_before_anything_is_served() {
        let server = start(readiness(Store::Up, CURRENT)).await;
        let (host, port) = (server.address.ip(), server.address.port());
        let config = Config { host, port, api_token: None };
        let refused = bind(&config).await.err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_cut_off_and_cannot_hold_up_the_stop() {
        let server = start(readiness(Store::Up, CURRENT)).await;
        let mut silent = TcpStream::connect(server.address).await.unwrap();
        let before = tokio::time::Instant::now();
        assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(before.elapsed() <= HEADER_TIMEOUT + Duration::from_secs(1));

        let _held = TcpStream::connect(server.address).await.unwrap();
        // An answer after that connection was accepted proves that it was, too.
        ask(&server, "GET", "/healthz").await;
        let before = tokio::time::Instant::now();
        server.stop.cancel();
        server.task.await.unwrap();
        assert!(before.elapsed() <= STOP_GRACE + Duration::from_millis(10));
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn clients_beyond_the_cap_wait_for_a_place() {
        let server = start(readiness(Store::Up, CURRENT)).await;
        let mut held = Vec::new();
        for _ in 0..MOST_CONNECTIONS {
            held.push(TcpStream::connect(server.address).await.unwrap());
        }
        let waiting = ask(&server, "GET", "/healthz");
        tokio::pin!(waiting);
        let early = timeout(Duration::from_millis(100), waiting.as_mut()).await;
        assert!(early.is_err(), "answered beyond the cap");
        held.clear();
        assert!(waiting.await.starts_with("HTTP/1.1 200 "));
    }
}
