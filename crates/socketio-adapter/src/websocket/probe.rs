//! The upgrade of a polling session, as far as it can fail: the WebSocket is probed here, and the library
//! sees it only once the client has decided for it.
//!
//! The library ends a polling session whose upgrade breaks off. A proxy that lets the handshake pass and
//! then closes the WebSocket would so end every session; here it only ends the WebSocket.

use std::io::{self, Cursor};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use super::frame::{client_text_frame, text_frame};

/// What a client asks over the WebSocket: Engine.IO's packet `ping`.
const PROBE: &str = "2probe";
/// The answer to it.
const PROBE_ANSWER: &str = "3probe";
/// What a client says that has stopped polling: Engine.IO's packet `upgrade`.
const UPGRADE: &str = "5";

/// No packet of an upgrade is longer, and no control frame may be.
const LONGEST_FRAME: usize = 125;
/// What is read at once, in bytes.
const READ: usize = 512;

/// A WebSocket that a polling client tries out.
pub(crate) struct Probe {
    tcp: TcpStream,
    /// What was read and is not understood yet.
    read: BytesMut,
    /// The beginning of a message that comes in fragments.
    begun: Option<Vec<u8>>,
}

/// What the library is given of an upgrade: its packets, and what the client sent after them.
pub(crate) struct Upgraded {
    pub(crate) tcp: TcpStream,
    pub(crate) unread: Bytes,
}

/// What the library answers to the probe; the client has been answered before.
pub(super) fn is_probe_answer(payload: &[u8]) -> bool {
    payload == PROBE_ANSWER.as_bytes()
}

impl Probe {
    /// `read` is what came with the request.
    pub(crate) fn new(tcp: TcpStream, read: &[u8]) -> Self {
        Self { tcp, read: BytesMut::from(read), begun: None }
    }

    /// Answers the client's probes until it says that it upgrades; `None` if it says anything else, or
    /// goes. Calls `probed` after each answer: the client now waits for its last poll.
    pub(crate) async fn run(mut self, mut probed: impl FnMut()) -> Option<Upgraded> {
        loop {
            let Ok(Some(message)) = self.message().await else {
                // It may be gone already.
                self.tcp.write_all(&[0x88, 0]).await.ok();
                return None;
            };
            match std::str::from_utf8(&message) {
                Ok(PROBE) => {
                    self.tcp.write_all(&text_frame(&[PROBE_ANSWER])).await.ok()?;
                    probed();
                }
                Ok(UPGRADE) => {
                    let mut unread = client_text_frame(PROBE);
                    unread.unsplit(client_text_frame(UPGRADE));
                    unread.unsplit(self.read);
                    return Some(Upgraded { tcp: self.tcp, unread: unread.freeze() });
                }
                Ok(_) | Err(_) => {
                    self.tcp.write_all(&[0x88, 0]).await.ok();
                    return None;
                }
            }
        }
    }

    /// The next text message; `None` if there comes none.
    async fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let Some((header, payload)) = self.frame().await? else { return Ok(None) };
            match header.opcode {
                OpCode::Data(data @ (Data::Text | Data::Continue)) => {
                    let mut message = match (data, self.begun.take()) {
                        (Data::Text, None) => Vec::new(),
                        (Data::Continue, Some(begun)) => begun,
                        _ => return Ok(None),
                    };
                    message.extend_from_slice(&payload);
                    if message.len() > LONGEST_FRAME {
                        return Ok(None);
                    }
                    if header.is_final {
                        return Ok(Some(message));
                    }
                    self.begun = Some(message);
                }
                OpCode::Control(Control::Ping) => {
                    let length = u8::try_from(payload.len()).unwrap_or_default();
                    self.tcp.write_all(&[&[0x8A, length], &payload[..]].concat()).await?;
                }
                OpCode::Control(Control::Pong) => {}
                OpCode::Data(_) | OpCode::Control(_) => return Ok(None),
            }
        }
    }

    /// The next frame, unmasked; `None` at the end, or if it cannot be part of an upgrade.
    async fn frame(&mut self) -> io::Result<Option<(FrameHeader, BytesMut)>> {
        loop {
            let mut cursor = Cursor::new(&self.read[..]);
            let parsed = FrameHeader::parse(&mut cursor).map_err(io::Error::other)?;
            let start = usize::try_from(cursor.position()).map_err(io::Error::other)?;
            if let Some((header, length)) = parsed {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let is_reserved = header.rsv1 || header.rsv2 || header.rsv3;
                let Some(mask) = header.mask.filter(|_| length <= LONGEST_FRAME && !is_reserved)
                else {
                    return Ok(None);
                };
                if self.read.len() >= start + length {
                    self.read.advance(start);
                    let mut payload = self.read.split_to(length);
                    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
                        *byte ^= mask;
                    }
                    return Ok(Some((header, payload)));
                }
            }
            self.read.reserve(READ);
            if self.tcp.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }
}
