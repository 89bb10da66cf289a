//! A proxy that meddles with WebSockets, as firewalls, antivirus programs and old proxies do: what polls
//! passes, a WebSocket is cut, held up, swallowed or changed at some byte.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// How long a swallowed connection stays open.
const SWALLOWED: Duration = Duration::from_secs(30);
/// The longest head of a request that is looked at, in bytes.
const HEAD: usize = 8192;

/// What happens to a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// To what the server answers, instead of what the client sends.
    pub answers: bool,
    /// At which byte, counted from the end of the HTTP head; negative: within it.
    pub at: i64,
    /// What.
    pub what: Meddling,
}

/// What a proxy does at a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    /// Closes both sides.
    Cut,
    /// Passes nothing on any more, in this direction.
    Swallow,
    /// Waits, then goes on.
    Delay(Duration),
    /// Changes bits of that byte.
    Rewrite(u8),
}

/// Decides what happens to the n-th WebSocket; `None`: nothing.
pub type Plan = Arc<dyn Fn(u64) -> Option<Fate> + Send + Sync>;

/// A TCP proxy on a port of its own. Gone, with all its connections, when dropped.
pub struct Meddler {
    port: u16,
    accepting: JoinHandle<()>,
}

impl Meddler {
    /// A proxy before a port of this machine.
    pub async fn before(port: u16, plan: Plan) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("loopback has a free port");
        let own = listener.local_addr().expect("a bound socket has an address").port();
        Self { port: own, accepting: tokio::spawn(accept(listener, port, plan)) }
    }

    /// Cuts every WebSocket as soon as it is one.
    pub async fn cutting(port: u16) -> Self {
        let cut = Fate { answers: true, at: 0, what: Meddling::Cut };
        Self::before(port, Arc::new(move |_| Some(cut))).await
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What clients connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, port: u16, plan: Plan) {
    let websockets = Arc::new(AtomicU64::new(0));
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    let (plan, websockets) = (Arc::clone(&plan), Arc::clone(&websockets));
                    connections.spawn(relay(client, port, plan, websockets));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn relay(mut client: TcpStream, port: u16, plan: Plan, websockets: Arc<AtomicU64>) {
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let Some(mut head) = read_head(&mut client).await else { return };
    let is_websocket = String::from_utf8_lossy(&head).contains("transport=websocket");
    let fate = is_websocket.then(|| plan(websockets.fetch_add(1, Ordering::Relaxed))).flatten();
    if !is_websocket {
        // One request, so that a WebSocket begins with a connection of its own.
        let line = head.windows(2).position(|two| two == b"\r\n").unwrap_or_default();
        head.splice(line..line, *b"\r\nConnection: close");
    }
    let of = |answers: bool| fate.filter(|fate| fate.answers == answers);
    let (mut client_in, mut client_out) = client.split();
    let (mut server_in, mut server_out) = server.split();
    // One direction that ends ends both.
    tokio::select! {
        () = pump(&mut client_in, &mut server_out, head, of(false)) => {}
        () = pump(&mut server_in, &mut client_out, Vec::new(), of(true)) => {}
    }
}

/// Reads until the head of a request is whole.
async fn read_head(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while end_of_head(&head).is_none() {
        if head.len() > HEAD || client.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

fn end_of_head(bytes: &[u8]) -> Option<i64> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    i64::try_from(end).ok()
}

/// Passes bytes on in one direction until it ends, or the fate says so.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut bytes: Vec<u8>,
    fate: Option<Fate>,
) {
    if let Some(Fate { at, what, .. }) = fate {
        let end = loop {
            match end_of_head(&bytes) {
                Some(end) => break end,
                None if read_on(from, &mut bytes).await => {}
                None => return,
            }
        };
        let mut before = usize::try_from(end + at).unwrap_or(0);
        while before >= bytes.len() {
            before -= bytes.len();
            if to.write_all(&bytes).await.is_err() {
                return;
            }
            bytes.clear();
            if before == 0 && what == Meddling::Cut {
                break;
            }
            if !read_on(from, &mut bytes).await {
                return;
            }
        }
        let rest = bytes.split_off(before.min(bytes.len()));
        if to.write_all(&bytes).await.is_err() {
            return;
        }
        bytes = rest;
        match what {
            Meddling::Cut => return,
            Meddling::Swallow => return sleep(SWALLOWED).await,
            Meddling::Delay(time) => sleep(time).await,
            Meddling::Rewrite(bits) => {
                if let Some(byte) = bytes.first_mut() {
                    *byte ^= bits;
                }
            }
        }
    }
    while to.write_all(&bytes).await.is_ok() {
        bytes.clear();
        if !read_on(from, &mut bytes).await {
            return;
        }
    }
}

async fn read_on(from: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> bool {
    matches!(from.read_buf(bytes).await, Ok(1..))
}
