//! All connections in one loop, in one thread.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    clock::{Clock, Micros, micros},
    connection::{Connection, Ended, Heard, Stage},
    credentials::Credential,
    dialect::Dialect,
    frame,
    packet::Packet,
    timer::Timer,
};

/// Connections from one address to one node, at most: the system has some 28 000 ports for them.
const CONNECTIONS_PER_SOURCE: usize = 20_000;
const READ_BYTES: usize = 256 * 1024;
const EVENTS_PER_TURN: usize = 1024;
const TIMER: Token = Token(usize::MAX);
/// No turn takes longer than this for want of something to happen.
const LONGEST_TURN: Duration = Duration::from_millis(250);

/// Who is told what the connections see.
pub trait Listener {
    /// A connection is ready; with the arguments of the event that said so, if there is one.
    fn live(&mut self, connection: u32, due: Micros, now: Micros, ready: &[u8]);
    /// An event has arrived: its packet's arguments.
    fn event(&mut self, connection: u32, now: Micros, name: &[u8], arguments: &[u8]);
    /// An event was answered.
    fn answer(&mut self, connection: u32, now: Micros, event: u32, arguments: &[u8]);
    /// A connection has ended, or never was, without being asked to.
    fn ended(&mut self, connection: u32, was: Stage, why: &Ended);
    /// Where the connection wants to go on.
    fn cursor(&self, connection: u32) -> &[u8];
}

/// Many connections to some nodes.
pub struct Swarm {
    poll: Poll,
    ready: Events,
    timer: Timer,
    clock: Clock,
    dialect: Dialect,
    nodes: Vec<SocketAddr>,
    credentials: Vec<Credential>,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    packet: Vec<u8>,
    /// Connections that have something to send.
    unflushed: Vec<u32>,
    opening: u32,
    live: u32,
}

impl Swarm {
    /// Places for so many connections; none is opened yet.
    ///
    /// # Errors
    /// When the system has no room for the loop.
    pub fn new(
        clock: Clock,
        dialect: Dialect,
        nodes: Vec<SocketAddr>,
        credentials: Vec<Credential>,
        connections: u32,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::new(poll.registry(), TIMER)?;
        Ok(Self {
            poll,
            ready: Events::with_capacity(EVENTS_PER_TURN),
            timer,
            clock,
            dialect,
            nodes,
            credentials,
            connections: (0..connections).map(Connection::away).collect(),
            buffer: vec![0; READ_BYTES],
            packet: Vec::new(),
            unflushed: Vec::new(),
            opening: 0,
            live: 0,
        })
    }

    /// Connections that are ready.
    #[must_use]
    pub fn live(&self) -> u32 {
        self.live
    }

    /// Connections that are on their way to be.
    #[must_use]
    pub fn opening(&self) -> u32 {
        self.opening
    }

    /// How it speaks.
    #[must_use]
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// The user of a connection.
    #[must_use]
    pub fn user(&self, connection: u32) -> &str {
        let credential = self.credentials.get(connection as usize % self.credentials.len().max(1));
        credential.map_or("", |credential| &credential.user)
    }

    /// Which node a connection is opened to. The connections of one user are spread over all.
    #[must_use]
    pub fn node_of(&self, connection: u32) -> usize {
        let users = self.credentials.len().max(1);
        (connection as usize + connection as usize / users) % self.nodes.len()
    }

    /// Begins a connection that should have begun at `due`.
    pub fn open(&mut self, number: u32, due: Micros, listener: &mut impl Listener) {
        let begun = self.connect(number);
        let Some(connection) = self.connections.get_mut(number as usize) else { return };
        match begun {
            Ok(socket) => {
                connection.begin(socket, due);
                self.opening += 1;
            }
            Err(error) => listener.ended(number, Stage::Connecting, &error.into()),
        }
    }

    fn connect(&self, number: u32) -> io::Result<TcpStream> {
        let Some(node) = self.nodes.get(self.node_of(number)) else {
            return Err(ErrorKind::AddrNotAvailable.into());
        };
        let socket = Socket::new(Domain::for_address(*node), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // Loopback has many addresses; from each there are as many ports.
        let source = number as usize / (CONNECTIONS_PER_SOURCE * self.nodes.len());
        if let (IpAddr::V4(address), Ok(source @ 1..)) = (node.ip(), u8::try_from(source))
            && address.is_loopback()
        {
            socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, source, 2), 0)).into())?;
        }
        match socket.connect(&(*node).into()) {
            Ok(()) => {}
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        let mut stream = TcpStream::from_std(socket.into());
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(number as usize), both)?;
        Ok(stream)
    }

    /// Ends a connection: with a goodbye, or as if its cable were cut.
    pub fn close(&mut self, number: u32, goodbye: bool) {
        let leave = self.dialect.leave_packet();
        let Some(connection) = self.connections.get_mut(number as usize) else { return };
        match connection.stage {
            Stage::Away => return,
            Stage::Live => self.live -= 1,
            Stage::Connecting
            | Stage::Upgrading
            | Stage::Opening
            | Stage::Joining
            | Stage::Joined => self.opening -= 1,
        }
        if goodbye {
            connection.queue(frame::TEXT, &leave);
            // It ends anyway.
            connection.send(frame::CLOSE, &1000_u16.to_be_bytes()).ok();
        }
        connection.end();
    }

    /// Queues a text; the next turn sends it, together with others of the same connection.
    pub fn send(&mut self, number: u32, write: impl FnOnce(&Dialect, &mut Vec<u8>)) {
        let Some(connection) = self.connections.get_mut(number as usize) else { return };
        self.packet.clear();
        write(&self.dialect, &mut self.packet);
        connection.queue(frame::TEXT, &self.packet);
        if self.unflushed.last() != Some(&number) {
            self.unflushed.push(number);
        }
    }

    /// Gives up connections that should have begun `patience` ago and are not ready.
    pub fn give_up(&mut self, patience: Duration, listener: &mut impl Listener) {
        let now = self.clock.now();
        for number in 0..self.connections.len() {
            let Some(connection) = self.connections.get(number) else { return };
            let late = connection.due + micros(patience) < now;
            if late && !matches!(connection.stage, Stage::Away | Stage::Live) {
                self.end(u32::try_from(number).unwrap_or(u32::MAX), &Ended::TimedOut, listener);
            }
        }
    }

    /// Sends what is queued, and deals with what the sockets have. Waits for it until `wake` at most.
    ///
    /// # Errors
    /// When the system cannot tell what the sockets have.
    pub fn turn(&mut self, wake: Micros, listener: &mut impl Listener) -> io::Result<()> {
        while let Some(number) = self.unflushed.pop() {
            let flushed = self.connections.get_mut(number as usize).map(Connection::flush);
            if let Some(Err(error)) = flushed {
                self.end(number, &error.into(), listener);
            }
        }
        let now = self.clock.now();
        let wake = wake.min(now + micros(LONGEST_TURN));
        let wait = self.timer.arm(now, wake)?;
        match self.poll.poll(&mut self.ready, wait) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        let ready = std::mem::replace(&mut self.ready, Events::with_capacity(0));
        for event in &ready {
            if event.token() == TIMER {
                self.timer.fired();
                continue;
            }
            let Ok(number) = u32::try_from(event.token().0) else { continue };
            let dealt = self.deal(number, event, listener);
            if let Err(why) = dealt {
                self.end(number, &why, listener);
            }
        }
        self.ready = ready;
        Ok(())
    }

    fn deal(
        &mut self,
        number: u32,
        event: &mio::event::Event,
        listener: &mut impl Listener,
    ) -> Result<(), Ended> {
        let Some(connection) = self.connections.get_mut(number as usize) else { return Ok(()) };
        if event.is_writable() {
            if connection.stage == Stage::Connecting {
                if let Some(error) =
                    connection.socket.as_ref().and_then(|tcp| tcp.take_error().ok()?)
                {
                    return Err(error.into());
                }
                connection.stage = Stage::Upgrading;
                let node = connection.socket.as_ref().and_then(|tcp| tcp.peer_addr().ok());
                let host = node.map_or_else(String::new, |node| node.to_string());
                connection.send_raw(handshake(&self.dialect.path, &host).as_bytes())?;
            } else {
                connection.flush()?;
            }
        }
        if !event.is_readable() && !event.is_read_closed() && !event.is_error() {
            return Ok(());
        }
        let now = self.clock.now();
        let (dialect, credentials) = (&self.dialect, &self.credentials);
        let (live, opening) = (&mut self.live, &mut self.opening);
        let to_end = event.is_read_closed() || event.is_error();
        connection.read(&mut self.buffer, to_end, |connection, heard| {
            let packet = match heard {
                Heard::Upgraded => return Ok(()),
                Heard::Packet(packet) => packet,
            };
            let mut become_live = |connection: &mut Connection, ready: &[u8]| {
                connection.stage = Stage::Live;
                *opening -= 1;
                *live += 1;
                listener.live(number, connection.due, now, ready);
            };
            match packet {
                Packet::Open => {
                    let credential = credentials.get(number as usize % credentials.len().max(1));
                    let (user, token) = credential.map_or(("", ""), |who| (&who.user, &who.token));
                    let join = dialect.join_packet(user, token, listener.cursor(number));
                    connection.stage = Stage::Joining;
                    connection.send(frame::TEXT, &join)?;
                }
                Packet::Ping => connection.send(frame::TEXT, b"3")?,
                Packet::Connected if connection.stage == Stage::Joining => {
                    connection.stage = Stage::Joined;
                    if dialect.ready.is_none() {
                        become_live(connection, b"");
                    }
                }
                Packet::Event(name, arguments) => {
                    let is_ready = dialect.ready.as_ref().is_some_and(|it| it.as_bytes() == name);
                    if !is_ready {
                        listener.event(number, now, name, arguments);
                    } else if connection.stage == Stage::Joined {
                        become_live(connection, arguments);
                    }
                }
                Packet::Answer(event, arguments) => listener.answer(number, now, event, arguments),
                Packet::Refused(why) => {
                    return Err(Ended::Refused(String::from_utf8_lossy(why).into_owned()));
                }
                Packet::Disconnected => return Err(Ended::Disconnected),
                Packet::Close => return Err(Ended::Closed),
                Packet::Connected | Packet::Other => {}
            }
            Ok(())
        })
    }

    fn end(&mut self, number: u32, why: &Ended, listener: &mut impl Listener) {
        let Some(connection) = self.connections.get_mut(number as usize) else { return };
        let was = connection.stage;
        match was {
            Stage::Away => return,
            Stage::Live => self.live -= 1,
            Stage::Connecting
            | Stage::Upgrading
            | Stage::Opening
            | Stage::Joining
            | Stage::Joined => self.opening -= 1,
        }
        connection.end();
        listener.ended(number, was, why);
    }
}

fn handshake(path: &str, host: &str) -> String {
    format!(
        "GET {path}?EIO=4&transport=websocket HTTP/1.1\r\n\
         Host: {host}\r\n\
         Connection: Upgrade\r\n\
         Upgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}
