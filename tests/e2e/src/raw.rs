//! A client without manners: TCP, HTTP and WebSocket frames by hand.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout_at},
};

/// The frames that it sends (RFC 6455, section 5.2).
pub mod opcode {
    /// A whole text.
    pub const TEXT: u8 = 0x81;
    /// The beginning of a text.
    pub const TEXT_BEGINS: u8 = 0x01;
    /// Whole binary data.
    pub const BINARY: u8 = 0x82;
}

/// The path of guests.
pub const GUEST: &str = "/core/game/v1/real-time/guest/";
/// The path of players.
pub const PRIVATE: &str = "/core/game/v1/real-time/private/";

/// The headers of a WebSocket handshake, with the key of RFC 6455, section 1.3.
const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// The room of a narrow connection, in bytes.
const NARROW: u32 = 4096;

/// One TCP connection to a server of this machine.
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// What came of waiting for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A text frame.
    Text(String),
    /// The other end has closed.
    Closed,
    /// Nothing, in the time there was.
    Nothing,
}

impl Raw {
    /// Connects.
    ///
    /// # Errors
    /// When nobody accepts.
    pub async fn connect(port: u16) -> io::Result<Self> {
        Self::connect_from(Ipv4Addr::LOCALHOST, port).await
    }

    /// Connects from an address of loopback.
    ///
    /// # Errors
    /// When nobody accepts.
    pub async fn connect_from(source: Ipv4Addr, port: u16) -> io::Result<Self> {
        Self::connect_over(TcpSocket::new_v4()?, source, port).await
    }

    async fn connect_over(socket: TcpSocket, source: Ipv4Addr, port: u16) -> io::Result<Self> {
        socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
        let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the other end has closed.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a request of these lines and a body, and reads status and body of the answer. `None`
    /// if there is none within `limit`.
    pub async fn request(
        &mut self,
        lines: &str,
        body: &[u8],
        limit: Duration,
    ) -> Option<(u16, String)> {
        let deadline = Instant::now() + limit;
        let head = format!("{}\r\nHost: localhost\r\n\r\n", lines.trim_end());
        // It may be answered before it has come to its end.
        timeout_at(deadline, async {
            self.send(head.as_bytes()).await?;
            self.send(body).await
        })
        .await
        .ok();
        self.answer(deadline).await
    }

    /// Status and body of the next answer to a request. `None` if there is none before `deadline`.
    pub async fn answer(&mut self, deadline: Instant) -> Option<(u16, String)> {
        loop {
            if let Some(answer) = self.take_answer() {
                return Some(answer);
            }
            if !self.read_more(deadline).await.unwrap_or(false) {
                return None;
            }
        }
    }

    fn take_answer(&mut self) -> Option<(u16, String)> {
        let end = self.read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(self.read.get(..end)?).to_ascii_lowercase();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        let body = String::from_utf8_lossy(self.read.get(end..end + length)?).into_owned();
        self.read.drain(..end + length);
        Some((status, body))
    }

    /// Makes a WebSocket of a new connection; Engine.IO is open then.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn websocket(port: u16, path: &str) -> io::Result<Self> {
        Self::websocket_from(Ipv4Addr::LOCALHOST, port, path).await
    }

    /// The same, from an address of loopback.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn websocket_from(source: Ipv4Addr, port: u16, path: &str) -> io::Result<Self> {
        Self::connect_from(source, port).await?.into_websocket(path, 4).await
    }

    /// The same, of a version of Engine.IO.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn websocket_of(port: u16, path: &str, version: u8) -> io::Result<Self> {
        Self::connect(port).await?.into_websocket(path, version).await
    }

    /// Asks for the upgrade of a polling session: the status of the answer, `None` if there is none.
    ///
    /// # Errors
    /// When nobody accepts.
    pub async fn upgrade(
        port: u16,
        path: &str,
        limit: Duration,
    ) -> io::Result<(Self, Option<u16>)> {
        let mut raw = Self::connect(port).await?;
        let lines = format!("GET {path} HTTP/1.1\r\n{HANDSHAKE}");
        let answer = raw.request(&lines, b"", limit).await;
        Ok((raw, answer.map(|(status, _)| status)))
    }

    async fn into_websocket(mut self, path: &str, version: u8) -> io::Result<Self> {
        let lines = format!("GET {path}?EIO={version}&transport=websocket HTTP/1.1\r\n{HANDSHAKE}");
        let answer = self.request(&lines, b"", crate::PATIENCE).await;
        if answer.as_ref().is_none_or(|(status, _)| *status != 101) {
            return Err(io::Error::other(format!("no websocket: {answer:?}")));
        }
        match self.hear(crate::PATIENCE).await {
            Heard::Text(open) if open.starts_with('0') => Ok(self),
            heard @ (Heard::Text(_) | Heard::Closed | Heard::Nothing) => {
                Err(io::Error::other(format!("not opened: {heard:?}")))
            }
        }
    }

    /// A guest that has joined and is ready.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn guest(port: u16) -> io::Result<Self> {
        let mut raw = Self::websocket(port, GUEST).await?;
        raw.join("40").await?;
        Ok(raw)
    }

    /// As [`guest`](Self::guest), with little room in the system for what it has not read: whoever
    /// writes to it notices soon that it does not read.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn narrow_guest(port: u16) -> io::Result<Self> {
        let mut raw = Self::narrow(port, GUEST).await?;
        raw.join("40").await?;
        Ok(raw)
    }

    /// The same, for whoever joins later.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn narrow(port: u16, path: &str) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(NARROW)?;
        let raw = Self::connect_over(socket, Ipv4Addr::LOCALHOST, port).await?;
        raw.into_websocket(path, 4).await
    }

    /// Joins with a packet, and waits until it is ready.
    ///
    /// # Errors
    /// What it hears instead.
    pub async fn join(&mut self, packet: &str) -> io::Result<()> {
        self.send_text(packet).await?;
        loop {
            match self.hear(crate::PATIENCE).await {
                Heard::Text(text) if text.contains(crate::event::READY) => return Ok(()),
                Heard::Text(text) if text == "2" => self.send_text("3").await?,
                Heard::Text(text) if text.starts_with("40") => {}
                other @ (Heard::Text(_) | Heard::Closed | Heard::Nothing) => {
                    return Err(io::Error::other(format!("{other:?}")));
                }
            }
        }
    }

    /// Sends a whole text frame.
    ///
    /// # Errors
    /// When the other end has closed.
    pub async fn send_text(&mut self, text: &str) -> io::Result<()> {
        self.send(&frame(opcode::TEXT, text.as_bytes())).await
    }

    /// Waits for the next text frame.
    pub async fn hear(&mut self, limit: Duration) -> Heard {
        let deadline = Instant::now() + limit;
        loop {
            match self.take_frame() {
                Some((opcode::TEXT, payload)) => {
                    return Heard::Text(String::from_utf8_lossy(&payload).into_owned());
                }
                Some(_) => {}
                None => match self.read_more(deadline).await {
                    Some(true) => {}
                    Some(false) => return Heard::Closed,
                    None => return Heard::Nothing,
                },
            }
        }
    }

    /// Waits for a text that contains `part`, and answers pings meanwhile. What it heard instead, if
    /// there was none.
    ///
    /// # Errors
    /// What it heard last.
    pub async fn hear_part(&mut self, part: &str, limit: Duration) -> Result<String, Heard> {
        let deadline = Instant::now() + limit;
        loop {
            match self.hear(deadline.saturating_duration_since(Instant::now())).await {
                Heard::Text(text) if text.contains(part) => return Ok(text),
                Heard::Text(text) if text == "2" => {
                    self.send_text("3").await.ok();
                }
                Heard::Text(_) => {}
                heard @ (Heard::Closed | Heard::Nothing) => return Err(heard),
            }
        }
    }

    /// Waits for something to read, and shows each whole frame's payload to `visit`, uncopied; whether
    /// the other end has not closed.
    pub async fn read_frames(&mut self, limit: Duration, mut visit: impl FnMut(&[u8])) -> bool {
        let more = self.read_more(Instant::now() + limit).await;
        let mut start = 0;
        while let Some((payload, end)) = self.read.get(start..).and_then(payload_of) {
            visit(self.read.get(start + payload.start..start + payload.end).unwrap_or_default());
            start += end;
        }
        self.read.drain(..start);
        more != Some(false)
    }

    /// Whether the other end closes within `limit`. What it says until then is dropped.
    pub async fn is_closed_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            self.read.clear();
            match self.read_more(deadline).await {
                Some(true) => {}
                Some(false) => return true,
                None => return false,
            }
        }
    }

    /// Reads; whether there was something, `None` after the deadline.
    async fn read_more(&mut self, deadline: Instant) -> Option<bool> {
        let read = timeout_at(deadline, self.stream.read_buf(&mut self.read)).await;
        read.ok().map(|read| read.is_ok_and(|bytes| bytes > 0))
    }

    /// A frame of the server's: its first byte and its payload.
    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = *self.read.first()?;
        let (payload, end) = payload_of(&self.read)?;
        let payload = self.read.get(payload)?.to_vec();
        self.read.drain(..end);
        Some((first, payload))
    }
}

/// Where the payload of the first frame lies, and where the frame ends, if it is whole.
fn payload_of(frames: &[u8]) -> Option<(Range<usize>, usize)> {
    let (header, length) = match *frames.get(1)? {
        126 => (4, u64::from(u16::from_be_bytes(*frames.get(2..4)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*frames.get(2..10)?.first_chunk()?)),
        length => (2, u64::from(length)),
    };
    let end = header + usize::try_from(length).ok()?;
    (end <= frames.len()).then_some((header..end, end))
}

/// A frame as a client sends it, masked with zeros.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame_head(first, payload.len());
    frame.extend(payload);
    frame
}

/// What comes before so many bytes of payload.
#[must_use]
pub fn frame_head(first: u8, length: usize) -> Vec<u8> {
    let mut head = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..126), _) => head.push(0x80 | length),
        (_, Ok(length)) => {
            head.push(0x80 | 126);
            head.extend(length.to_be_bytes());
        }
        (_, Err(_)) => {
            head.push(0x80 | 127);
            head.extend((length as u64).to_be_bytes());
        }
    }
    head.extend([0; 4]);
    head
}
