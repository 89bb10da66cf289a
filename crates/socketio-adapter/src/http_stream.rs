//! A TCP connection as hyper sees it: it tells the timer of request heads when a head has begun, and hides
//! for a while that a client sends no more, since it may still read.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// How long an answer to a client that sends no more may take. Most clients that do not send any more are
/// gone: what is done for them ends, such as a long poll.
const HALF_CLOSED: Duration = Duration::from_secs(2);

/// Where a connection is between two requests.
#[derive(Default)]
pub(crate) struct Progress {
    /// Bytes came since the last head was waited for.
    has_begun: AtomicBool,
    /// The head of a request has come, and its answer is not written.
    is_answering: AtomicBool,
}

impl Progress {
    /// Says that a request is being answered. (hyper looks for the end of the stream before anybody could
    /// know that a body is complete.)
    pub(crate) fn answer_begins(&self) {
        self.is_answering.store(true, Ordering::Relaxed);
    }
}

/// The stream, which is hyper's until a WebSocket takes it.
pub(crate) struct HttpStream {
    tcp: TcpStream,
    progress: Arc<Progress>,
    /// Since the client sends no more.
    half_closed: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl HttpStream {
    pub(crate) fn new(tcp: TcpStream, progress: Arc<Progress>) -> Self {
        Self { tcp, progress, half_closed: None }
    }

    pub(crate) fn into_tcp(self) -> TcpStream {
        self.tcp
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.half_closed.is_none() {
            ready!(Pin::new(&mut self.tcp).poll_read(context, buffer))?;
        }
        if buffer.filled().len() > before {
            self.progress.has_begun.store(true, Ordering::Relaxed);
            return Poll::Ready(Ok(()));
        }
        if !self.progress.is_answering.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        // hyper reads on once it has written the answer.
        let patience =
            self.half_closed.get_or_insert_with(|| Box::pin(tokio::time::sleep(HALF_CLOSED)));
        patience.as_mut().poll(context).map(Ok)
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// hyper's timer of one connection, which it uses for request heads alone (`header_read_timeout`, which has
/// to be the same as `head`). The first head may take that long; each further one may begin within
/// `keep_alive`, and take that long from its first byte.
#[derive(Clone)]
pub(crate) struct HeadTimer {
    progress: Arc<Progress>,
    head: Duration,
    keep_alive: Duration,
    is_idle: Arc<AtomicBool>,
}

impl HeadTimer {
    pub(crate) fn new(progress: Arc<Progress>, head: Duration, keep_alive: Duration) -> Self {
        Self { progress, head, keep_alive, is_idle: Arc::default() }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    /// Called when a head is waited for.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.progress.has_begun.store(false, Ordering::Relaxed);
        self.progress.is_answering.store(false, Ordering::Relaxed);
        let deadline = tokio::time::Instant::from_std(deadline);
        let is_idle = self.is_idle.swap(true, Ordering::Relaxed);
        let deadline = if is_idle { deadline - self.head + self.keep_alive } else { deadline };
        Box::pin(HeadSleep {
            until: Box::pin(tokio::time::sleep_until(deadline)),
            begins: is_idle.then(|| self.clone()),
        })
    }

    fn now(&self) -> Instant {
        // tokio's, which tests pause.
        tokio::time::Instant::now().into_std()
    }
}

/// Ends when a head has taken too long. hyper polls it whenever it has read and wants more.
struct HeadSleep {
    until: Pin<Box<tokio::time::Sleep>>,
    /// For a head that has not begun.
    begins: Option<HeadTimer>,
}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let has_begun = |timer: &mut HeadTimer| timer.progress.has_begun.load(Ordering::Relaxed);
        if let Some(timer) = self.begins.take_if(has_begun) {
            self.until.as_mut().reset(tokio::time::Instant::now() + timer.head);
        }
        self.until.as_mut().poll(context)
    }
}

impl Sleep for HeadSleep {}
