//! One client: a raw WebSocket with just enough Engine.IO and Socket.IO to stay connected.

use std::{
    io::{self, ErrorKind},
    net::Ipv4Addr,
};

use game_realtime_bench::{
    frame,
    subject::{EVENT, Subject},
};
use tokio::net::TcpStream;

use crate::tally::Tally;

pub(crate) struct Client {
    subject: Subject,
    number: u64,
    tcp: TcpStream,
}

/// What is read at once, and kept for every client.
const READ_BYTES: usize = 1024;

impl Client {
    /// Opens a WebSocket. Also returns what the server has sent on it already.
    pub(crate) async fn open(
        subject: Subject,
        port: u16,
        number: u64,
    ) -> io::Result<(Self, Vec<u8>)> {
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        tcp.set_nodelay(true)?;
        let client = Self { subject, number, tcp };
        let request = format!(
            "GET {}?EIO=4&transport=websocket HTTP/1.1\r\n\
             Host: 127.0.0.1:{port}\r\n\
             Connection: Upgrade\r\n\
             Upgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            subject.path()
        );
        client.write(request.as_bytes()).await?;
        let mut answer = Vec::with_capacity(READ_BYTES);
        loop {
            client.read(&mut answer).await?;
            if let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                if !answer.starts_with(b"HTTP/1.1 101 ") {
                    return Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()));
                }
                answer.drain(..end + 4);
                return Ok((client, answer));
            }
        }
    }

    /// Reads and answers until the connection ends.
    pub(crate) async fn run(&self, mut unread: Vec<u8>, tally: &Tally) -> io::Result<()> {
        let broadcast = format!("42[\"{EVENT}\"");
        loop {
            let mut rest = unread.as_slice();
            while let Some((packet, after)) = frame::split_first(rest)? {
                rest = after;
                if packet.starts_with(&broadcast) {
                    tally.deliveries.add(1);
                    tally.bytes.add(packet.len() as u64);
                } else if packet == "2" {
                    self.send("3").await?;
                } else if packet.starts_with('0') {
                    self.send(&self.subject.join_packet(self.number)).await?;
                } else if packet.starts_with(self.subject.joined_prefix()) {
                    tally.joined.add(1);
                } else if !packet.starts_with("40") {
                    eprintln!("crowd: client {} was told {packet}", self.number);
                }
            }
            let used = unread.len() - rest.len();
            unread.drain(..used);
            self.read(&mut unread).await?;
        }
    }

    /// Asks the server to broadcast.
    pub(crate) async fn broadcast(&self) -> io::Result<()> {
        self.send(&self.subject.broadcast_packet()).await
    }

    async fn send(&self, packet: &str) -> io::Result<()> {
        self.write(&frame::text(packet)).await
    }

    async fn read(&self, buffer: &mut Vec<u8>) -> io::Result<()> {
        loop {
            self.tcp.readable().await?;
            match self.tcp.try_read_buf(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.tcp.writable().await?;
            match self.tcp.try_write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
