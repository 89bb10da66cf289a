//! A client that comes back: a raw WebSocket that presents a cursor and checks the order.

use std::{io, net::Ipv4Addr};

use game_realtime_loadgen::frame::{self, Frame};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const PATH: &str = "/core/game/v1/real-time/private/";
const READ_BYTES: usize = 16 * 1024;

pub(crate) struct Client {
    tcp: TcpStream,
    unread: Vec<u8>,
    used: usize,
}

/// What the server said of the connection.
#[derive(Debug, Deserialize)]
pub(crate) struct Ready {
    pub(crate) cursor: String,
    pub(crate) recovery: Recovery,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Recovery {
    pub(crate) status: String,
    pub(crate) replayed: usize,
}

/// What is read of an event.
#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    #[serde(alias = "good_id")]
    pub(crate) message: String,
    pub(crate) cursor: String,
}

pub(crate) enum Packet {
    Ready(Ready),
    Event(Event),
}

impl Client {
    /// Connects as a player and joins, with a cursor or without.
    pub(crate) async fn join(port: u16, token: &str, cursor: Option<&str>) -> io::Result<Self> {
        let mut tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        tcp.set_nodelay(true)?;
        let request = format!(
            "GET {PATH}?EIO=4&transport=websocket HTTP/1.1\r\n\
             Host: 127.0.0.1:{port}\r\n\
             Connection: Upgrade\r\n\
             Upgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        tcp.write_all(request.as_bytes()).await?;
        let mut unread = Vec::with_capacity(READ_BYTES);
        let end = loop {
            if tcp.read_buf(&mut unread).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(end) = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let mut client = Self { tcp, unread, used: end };
        let auth = match cursor {
            Some(cursor) => format!(r#"40{{"token":"{token}","cursor":"{cursor}"}}"#),
            None => format!(r#"40{{"token":"{token}"}}"#),
        };
        client.send(&auth).await?;
        Ok(client)
    }

    /// Waits for the next packet of the application.
    pub(crate) async fn next(&mut self) -> io::Result<Packet> {
        loop {
            let rest = self.unread.get(self.used..).unwrap_or_default();
            let Some((Frame { payload, .. }, after)) =
                frame::split_first(rest).map_err(io::Error::other)?
            else {
                self.unread.drain(..self.used);
                self.used = 0;
                if self.tcp.read_buf(&mut self.unread).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                continue;
            };
            self.used = self.unread.len() - after.len();
            let Some(event) = payload.strip_prefix(b"42") else {
                if payload == b"2" {
                    self.send("3").await?;
                }
                continue;
            };
            let (name, data): (&str, &RawValue) = serde_json::from_slice(event)?;
            return Ok(if name == "core.game.connection.ready" {
                Packet::Ready(serde_json::from_str(data.get())?)
            } else {
                Packet::Event(serde_json::from_str(data.get())?)
            });
        }
    }

    pub(crate) async fn ready(&mut self) -> io::Result<Ready> {
        match self.next().await? {
            Packet::Ready(ready) => Ok(ready),
            Packet::Event(_) => Err(io::Error::other("an event before ready")),
        }
    }

    pub(crate) async fn event(&mut self) -> io::Result<Event> {
        match self.next().await? {
            Packet::Event(event) => Ok(event),
            Packet::Ready(_) => Err(io::Error::other("ready twice")),
        }
    }

    pub(crate) async fn broadcast(&mut self, message: &str) -> io::Result<()> {
        self.send(&format!(r#"42["core.game.state.broadcast",{{"message":"{message}"}}]"#)).await
    }

    pub(crate) async fn buy(&mut self, good: &str) -> io::Result<()> {
        self.send(&format!(r#"42["core.game.state.buy_good",{{"good_id":"{good}","count":1}}]"#))
            .await
    }

    async fn send(&mut self, packet: &str) -> io::Result<()> {
        let mut bytes = Vec::new();
        frame::append(&mut bytes, frame::TEXT, packet.as_bytes(), [0; 4]);
        self.tcp.write_all(&bytes).await
    }
}
