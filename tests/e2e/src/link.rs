//! A TCP proxy that can fail: the way from a node to etcd.

use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

const BUFFER_BYTES: usize = 16 * 1024;

/// What a link does with the bytes it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Passes them on.
    Open,
    /// Passes nothing on and closes nothing, as a network that lost the way. What it was given
    /// passes when it is open again.
    Stalled,
    /// Passes on what the client sends and throws away what is answered. Connections that have
    /// lost something are cut when this ends: TCP never goes on after a hole.
    Deaf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    flow: Flow,
    /// Connections of an earlier generation are cut.
    generation: u64,
}

/// A TCP proxy on a port of its own. Gone, with all its connections, when dropped.
pub struct Link {
    port: u16,
    state: watch::Sender<State>,
    accepting: JoinHandle<()>,
}

impl Link {
    /// A link to a port of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("loopback has a free port");
        let own = listener.local_addr().expect("a bound socket has an address").port();
        let state = watch::Sender::new(State { flow: Flow::Open, generation: 0 });
        let accepting = tokio::spawn(accept(listener, port, state.clone()));
        Self { port: own, state, accepting }
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Changes what it does, for all its connections.
    pub fn set(&self, flow: Flow) {
        self.state.send_modify(|state| {
            if state.flow == Flow::Deaf && flow != Flow::Deaf {
                state.generation += 1;
            }
            state.flow = flow;
        });
    }

    /// Cuts all connections there are.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, port: u16, state: watch::Sender<State>) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    connections.spawn(relay(client, port, state.subscribe()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn relay(client: TcpStream, port: u16, mut state: watch::Receiver<State>) {
    let generation = state.borrow().generation;
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    tokio::select! {
        () = pump(client_in, server_out, state.clone(), false) => {}
        () = pump(server_in, client_out, state.clone(), true) => {}
        _ = state.wait_for(|state| state.generation != generation) => {}
    }
}

/// Passes bytes on in one direction until it ends.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    answers: bool,
) {
    let generation = state.borrow().generation;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let open = state.wait_for(|state| state.flow != Flow::Stalled).await.map(|state| *state);
        let Ok(State { flow, generation: current }) = open else { return };
        if current != generation {
            return;
        }
        let lost = answers && flow == Flow::Deaf;
        let bytes = buffer.get(..count).unwrap_or_default();
        if !lost && to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client of a server that answers with what it gets, through a link.
    async fn connected() -> (Link, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await
        });
        let link = Link::to(port).await;
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port)).await.unwrap();
        (link, client)
    }

    async fn say(client: &mut TcpStream, byte: u8) {
        client.write_all(&[byte]).await.unwrap();
    }

    #[tokio::test]
    async fn what_a_stalled_link_was_given_passes_when_it_is_open_again() {
        let (link, mut client) = connected().await;
        say(&mut client, 1).await;
        assert_eq!(client.read_u8().await.unwrap(), 1);
        link.set(Flow::Stalled);
        say(&mut client, 2).await;
        link.set(Flow::Open);
        assert_eq!(client.read_u8().await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_connection_that_has_lost_something_does_not_go_on() {
        let (link, mut client) = connected().await;
        say(&mut client, 1).await;
        assert_eq!(client.read_u8().await.unwrap(), 1);
        link.set(Flow::Deaf);
        say(&mut client, 2).await;
        link.set(Flow::Open);
        client.write_all(&[3]).await.ok(); // it may be cut already
        assert!(client.read_u8().await.is_err());
    }
}
