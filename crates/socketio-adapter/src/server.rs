//! The listener: accepts TCP connections, serves them, and drains them in the end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use game_realtime_application::{
    limits::Refusal,
    panics::{Watchdog, panic_point},
};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::{
    config::{HttpConfig, LimitsConfig},
    drain::drain,
    gateway::{Gateway, UseCases},
    http_stream::{HeadTimer, HttpStream, Progress},
    library::Library,
    namespaces,
    peer::{Peer, Slots},
    series,
    service::Service,
};

/// The Socket.IO server of a node.
pub struct SocketIoServer {
    listener: TcpListener,
    service: Arc<Service>,
    gateway: Arc<Gateway>,
    limits: LimitsConfig,
    draining: CancellationToken,
}

/// How long accepting pauses when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that wait to be accepted, as far as the system allows (`net.core.somaxconn`). One that
/// finds no room tries again a second later, which is long for a player who comes back.
const BACKLOG: u32 = 4096;
/// Largest request head, in bytes.
const HEAD_BYTES: usize = 16 * 1024;

impl SocketIoServer {
    /// Binds the port. Connections wait in the system's queue until [`run`](Self::run). `watchdog`
    /// watches what clients cannot do without.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(
        http: &HttpConfig,
        limits: LimitsConfig,
        use_cases: UseCases,
        watchdog: &Watchdog,
    ) -> io::Result<Self> {
        let listener = listen(SocketAddr::new(http.host, http.port))?;
        let tasks = TaskTracker::new();
        let draining = CancellationToken::new();
        let (library, io) = Library::new(&limits, use_cases.event_timeout, tasks.clone());
        let gateway =
            Gateway::new(use_cases, limits.clone(), library, tasks, draining.clone(), watchdog);
        namespaces::register(&io, &gateway, &http.base_path);
        series::register();
        let service = Service::new(Arc::clone(&gateway), http);
        Ok(Self { listener, service: Arc::new(service), gateway, limits, draining })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves clients until `stop`, then drains until `deadline` after it: no new connections,
    /// events in flight are answered, transports closed.
    pub async fn run(self, stop: CancellationToken, grace: Duration) {
        let Self { listener, service, gateway, limits, draining } = self;
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        let slots = Slots::new(limits.tcp_connections);
        let mut is_failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((tcp, address)) => {
                    panic_point("listener");
                    is_failing = false;
                    if let Some(slot) = slots.take() {
                        let peer = Peer { address: address.ip(), slot };
                        let served =
                            serve(tcp, peer, Arc::clone(&service), limits.clone(), stop.clone());
                        let cut = cut.clone();
                        connections.spawn(async move { cut.run_until_cancelled(served).await });
                    } else {
                        Refusal::TcpConnections.count();
                        drop(tcp);
                    }
                    gateway.turnstile().pass().await;
                }
                Err(error) => {
                    // Mostly too many open files: those that are open go on, and those that wait
                    // are accepted once some have closed.
                    if !std::mem::replace(&mut is_failing, true) {
                        warn!(%error, "connections are not accepted");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        let deadline = Instant::now() + grace;
        draining.cancel();
        drop(listener);
        drain(&gateway, &connections, &cut, deadline).await;
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A node that restarts need not wait for the connections of the last one to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Waits for the first request and for its turn; whether there is one. Many become readable at once:
/// none is read before those who play were heard.
async fn asks(
    tcp: &TcpStream,
    gateway: &Gateway,
    patience: Duration,
    stop: &CancellationToken,
) -> bool {
    // `readable` alone says yes of most new connections.
    let mut first = [0];
    let asked = timeout(patience, tcp.peek(&mut first));
    if !matches!(stop.run_until_cancelled(asked).await, Some(Ok(Ok(1)))) {
        return false;
    }
    gateway.turnstile().pass().await;
    true
}

/// Serves one TCP connection.
async fn serve(
    tcp: TcpStream,
    peer: Peer,
    service: Arc<Service>,
    limits: LimitsConfig,
    stop: CancellationToken,
) {
    if !asks(&tcp, service.gateway(), limits.header_timeout, &stop).await {
        return;
    }
    if let Err(error) = prepare(&tcp, limits.write_timeout) {
        debug!(%error, "socket options not set");
    }
    let progress = Arc::<Progress>::default();
    let timer =
        HeadTimer::new(Arc::clone(&progress), limits.header_timeout, limits.keep_alive_timeout);
    let stream = HttpStream::new(tcp, Arc::clone(&progress));
    let answer = service_fn(move |request: Request<Incoming>| {
        progress.answer_begins();
        let (service, peer) = (Arc::clone(&service), peer.clone());
        async move {
            let answer: Response<_> = service.answer(request, peer).await;
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(timer)
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}

/// Small packets leave at once, and a peer that acknowledges nothing for `patience` is given up.
fn prepare(tcp: &TcpStream, patience: Duration) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    SockRef::from(tcp).set_tcp_user_timeout(Some(patience))
}
