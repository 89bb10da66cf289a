//! The floor: what it costs to write the same frames to the same sockets, and nothing else. One thread,
//! one loop over the sockets that have something. Every event goes to everybody, a frame and a write
//! each; nothing is decoded, nobody is asked for a sign of life. Argument: a port.
#![expect(clippy::expect_used, reason = "a benchmark: what cannot go on ends the program")]

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use tungstenite::handshake::derive_accept_key;

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 64 * 1024;
const EVENTS_PER_TURN: usize = 1024;
const MASKED: u8 = 0x80;
const TEXT: u8 = 0x81;

struct Connection {
    tcp: TcpStream,
    is_upgraded: bool,
    unread: Vec<u8>,
    /// What its socket had no room for.
    unsent: Vec<u8>,
}

fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port");
    let mut poll = Poll::new().expect("a loop");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut listener = TcpListener::bind(address).expect("a free port");
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)
        .expect("room in the loop");
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut events = Events::with_capacity(EVENTS_PER_TURN);
    loop {
        poll.poll(&mut events, None).expect("the loop goes on");
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut tcp, _)) = listener.accept() {
                    tcp.set_nodelay(true).ok();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    let token = Token(connections.len());
                    poll.registry().register(&mut tcp, token, both).expect("room in the loop");
                    let (unread, unsent) = (Vec::new(), Vec::new());
                    connections.push(Some(Connection { tcp, is_upgraded: false, unread, unsent }));
                }
                continue;
            }
            let number = event.token().0;
            let mut packets = Vec::new();
            let Some(place) = connections.get_mut(number) else { continue };
            let Some(connection) = place else { continue };
            connection.write(&[]);
            if connection.read(&mut buffer, &mut packets).is_none() {
                *place = None;
            }
            for packet in packets {
                answer(&packet, number, &mut connections);
            }
        }
    }
}

fn answer(packet: &[u8], sender: usize, connections: &mut [Option<Connection>]) {
    if packet.starts_with(b"40")
        && let Some(Some(connection)) = connections.get_mut(sender)
    {
        connection.write(&frame(br#"40{"sid":"0123456789abcdefghij"}"#));
    }
    let Some(event) = packet.strip_prefix(b"42") else { return };
    let digits = event.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, arguments) = event.split_at(digits);
    let frame_of_all = frame(&[b"42", arguments].concat());
    for connection in connections.iter_mut().flatten() {
        connection.write(&frame_of_all);
    }
    if let Some(Some(connection)) = connections.get_mut(sender) {
        connection.write(&frame(&[b"43", number, br#"[{"status":"ok"}]"#].concat()));
    }
}

impl Connection {
    /// Reads what is there. `None` when the client has left.
    fn read(&mut self, buffer: &mut [u8], packets: &mut Vec<Vec<u8>>) -> Option<()> {
        loop {
            match self.tcp.read(buffer) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend(buffer.get(..count)?),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return None,
            }
        }
        if !self.is_upgraded {
            let end = self.unread.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else { return Some(()) };
            self.upgrade(end + 4)?;
        }
        while let Some(packet) = self.take_frame() {
            packets.push(packet);
        }
        Some(())
    }

    fn upgrade(&mut self, end: usize) -> Option<()> {
        let head = String::from_utf8(self.unread.drain(..end).collect()).ok()?;
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
        let accept = derive_accept_key(key.trim().as_bytes());
        self.is_upgraded = true;
        self.write(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            )
            .as_bytes(),
        );
        let open = br#"0{"sid":"0123456789abcdefghij","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":65536}"#;
        self.write(&frame(open));
        Some(())
    }

    /// The next packet of the client's, if all of it is there.
    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let length = self.unread.get(1)? & !MASKED;
        let (header, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes(*self.unread.get(2..4)?.first_chunk()?))),
            length => (2, usize::from(length)),
        };
        let key: [u8; 4] = *self.unread.get(header..header + 4)?.first_chunk()?;
        let end = header + 4 + length;
        let mut packet = self.unread.get(header + 4..end)?.to_vec();
        for (byte, key) in packet.iter_mut().zip(key.iter().cycle()) {
            *byte ^= key;
        }
        self.unread.drain(..end);
        Some(packet)
    }

    /// Writes what was left and then this, as far as there is room.
    fn write(&mut self, bytes: &[u8]) {
        if self.unsent.is_empty() {
            let written = self.tcp.write(bytes).unwrap_or(0);
            self.unsent.extend(bytes.get(written..).unwrap_or_default());
            return;
        }
        self.unsent.extend(bytes);
        if let Ok(written) = self.tcp.write(&self.unsent) {
            self.unsent.drain(..written);
        }
    }
}

/// A text of the server's, of less than 64 KiB.
fn frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![TEXT];
    match u8::try_from(text.len()) {
        Ok(length @ 0..126) => frame.push(length),
        _ => {
            frame.push(126);
            frame.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend(text);
    frame
}
