//! One connection: a WebSocket with just enough Engine.IO and Socket.IO to stay connected.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    mem,
};

use mio::net::TcpStream;

use crate::{
    clock::Micros,
    frame::{self, FrameError, split_first},
    packet::Packet,
};

/// The longest head of an answer to the handshake.
const LONGEST_HEAD: usize = 16 * 1024;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// There is none.
    Away,
    /// TCP is being connected.
    Connecting,
    /// The handshake of the WebSocket waits for its answer.
    Upgrading,
    /// Engine.IO is to open.
    Opening,
    /// The namespace was asked to let it in.
    Joining,
    /// In the namespace, not told yet that it is ready.
    Joined,
    /// It is ready.
    Live,
}

/// Why a connection ended that nobody asked to end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// TCP failed or was reset.
    #[error("{0}")]
    Io(ErrorKind),
    /// The server has closed it.
    #[error("closed by the server")]
    Closed,
    /// The namespace has sent it away.
    #[error("disconnected by the server")]
    Disconnected,
    /// The namespace would not have it; with what it said.
    #[error("connect_error {0}")]
    Refused(String),
    /// The handshake was answered with something else than 101; its first line.
    #[error("{0}")]
    NotUpgraded(String),
    /// It sends what cannot be understood.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It was not ready in time.
    #[error("not ready in time")]
    TimedOut,
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

/// What a connection is and has not dealt with yet.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stage: Stage,
    /// When it should have begun.
    pub(crate) due: Micros,
    pub(crate) socket: Option<TcpStream>,
    /// The beginning of a frame.
    unread: Vec<u8>,
    /// What the socket had no room for.
    unsent: Vec<u8>,
    /// Masks of its frames; any number will do, zero would be no mask.
    mask: u32,
}

/// What became of reading.
pub(crate) enum Heard<'a> {
    /// The WebSocket is there.
    Upgraded,
    /// A packet of the server's.
    Packet(Packet<'a>),
}

impl Connection {
    pub(crate) fn away(number: u32) -> Self {
        Self {
            stage: Stage::Away,
            due: 0,
            socket: None,
            unread: Vec::new(),
            unsent: Vec::new(),
            mask: number.wrapping_mul(0x9e37_79b9) | 1,
        }
    }

    /// Begins with a socket that is being connected.
    pub(crate) fn begin(&mut self, socket: TcpStream, due: Micros) {
        self.stage = Stage::Connecting;
        self.socket = Some(socket);
        self.due = due;
    }

    /// Ends at once.
    pub(crate) fn end(&mut self) {
        self.stage = Stage::Away;
        self.socket = None;
        self.unread = Vec::new();
        self.unsent = Vec::new();
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsent.extend(bytes);
        self.flush()
    }

    /// Puts a frame where `flush` finds it.
    pub(crate) fn queue(&mut self, first: u8, payload: &[u8]) {
        self.mask = self.mask.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        frame::append(&mut self.unsent, first, payload, self.mask.to_be_bytes());
    }

    /// Sends a frame.
    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) -> io::Result<()> {
        self.queue(first, payload);
        self.flush()
    }

    /// Sends what the socket has room for.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        let mut sent = 0;
        let result = loop {
            let rest = self.unsent.get(sent..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match socket.write(rest) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        if sent == self.unsent.len() {
            // Whoever has nothing to send holds no memory for it.
            self.unsent = Vec::new();
        } else {
            self.unsent.drain(..sent);
        }
        result
    }

    /// Reads what is there. `to_end`: the other end has closed, read until one comes to it.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        to_end: bool,
        mut hear: impl FnMut(&mut Self, Heard<'_>) -> Result<(), Ended>,
    ) -> Result<(), Ended> {
        loop {
            let Some(socket) = &mut self.socket else { return Ok(()) };
            let count = match socket.read(buffer) {
                Ok(0) => return Err(Ended::Closed),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let read = buffer.get(..count).unwrap_or_default();
            if self.unread.is_empty() {
                let rest = self.digest(read, &mut hear)?;
                self.unread.extend(read.get(read.len() - rest..).unwrap_or_default());
            } else {
                let mut unread = mem::take(&mut self.unread);
                unread.extend(read);
                let rest = self.digest(&unread, &mut hear)?;
                unread.drain(..unread.len() - rest);
                if !unread.is_empty() {
                    self.unread = unread;
                }
            }
            // Less than there is room for is all there was.
            if count < buffer.len() && !to_end {
                return Ok(());
            }
        }
    }

    /// Hands on what is complete. Returns how many bytes are not.
    fn digest(
        &mut self,
        mut bytes: &[u8],
        hear: &mut impl FnMut(&mut Self, Heard<'_>) -> Result<(), Ended>,
    ) -> Result<usize, Ended> {
        if matches!(self.stage, Stage::Connecting | Stage::Upgrading) {
            let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
                return if bytes.len() < LONGEST_HEAD {
                    Ok(bytes.len())
                } else {
                    Err(Ended::NotUpgraded("a long head".to_owned()))
                };
            };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
                return Err(Ended::NotUpgraded(String::from_utf8_lossy(line).into_owned()));
            }
            bytes = bytes.get(end + 4..).unwrap_or_default();
            self.stage = Stage::Opening;
            hear(self, Heard::Upgraded)?;
        }
        while let Some((frame, rest)) = split_first(bytes)? {
            bytes = rest;
            match frame.first {
                frame::TEXT => hear(self, Heard::Packet(Packet::read(frame.payload)))?,
                frame::PING => self.send(frame::PONG, frame.payload)?,
                frame::CLOSE => return Err(Ended::Closed),
                _ => {}
            }
            if self.stage == Stage::Away {
                return Ok(0);
            }
        }
        Ok(bytes.len())
    }
}
