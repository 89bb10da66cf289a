//! A client without manners: TCP, HTTP and WebSocket frames by hand.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
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
        let socket = TcpSocket::new_v4()?;
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
        let mut raw = Self::connect_from(source, port).await?;
        let lines = format!(
            "GET {path}?EIO=4&transport=websocket HTTP/1.1\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        );
        let answer = raw.request(&lines, b"", crate::PATIENCE).await;
        if answer.as_ref().is_none_or(|(status, _)| *status != 101) {
            return Err(io::Error::other(format!("no websocket: {answer:?}")));
        }
        match raw.hear(crate::PATIENCE).await {
            Heard::Text(open) if open.starts_with('0') => Ok(raw),
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
        let (first, second) = (*self.read.first()?, *self.read.get(1)?);
        let (header, length) = match second {
            126 => (4, u64::from(u16::from_be_bytes(*self.read.get(2..4)?.first_chunk()?))),
            127 => (10, u64::from_be_bytes(*self.read.get(2..10)?.first_chunk()?)),
            length => (2, u64::from(length)),
        };
        let end = header + usize::try_from(length).ok()?;
        let payload = self.read.get(header..end)?.to_vec();
        self.read.drain(..end);
        Some((first, payload))
    }
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
