//! A load balancer before the nodes: clients know one address and come back to any node.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::Vitals;

/// Hands every connection to the next node that says it is ready. Gone when dropped.
pub struct Front {
    port: u16,
    accepting: JoinHandle<()>,
}

impl Front {
    /// A balancer for nodes with these ports.
    pub async fn before(nodes: Vec<(u16, Arc<Vitals>)>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        Self { port, accepting: tokio::spawn(accept(listener, nodes)) }
    }

    /// What clients connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, nodes: Vec<(u16, Arc<Vitals>)>) {
    let nodes = Arc::new(nodes);
    let next = Arc::new(AtomicUsize::new(0));
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((mut client, _)) = accepted else { continue };
                let (nodes, next) = (Arc::clone(&nodes), Arc::clone(&next));
                connections.spawn(async move {
                    let Some(mut node) = choose(&nodes, &next).await else { return };
                    client.set_nodelay(true).ok();
                    node.set_nodelay(true).ok();
                    // However it ends, both sides see it.
                    copy_bidirectional(&mut client, &mut node).await.ok();
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The next node in turn that is ready and takes the connection; if none is ready, any.
async fn choose(nodes: &[(u16, Arc<Vitals>)], next: &AtomicUsize) -> Option<TcpStream> {
    let first = next.fetch_add(1, Ordering::Relaxed);
    let in_turn = || nodes.iter().cycle().skip(first % nodes.len().max(1)).take(nodes.len());
    let ready = in_turn().filter(|(_, vitals)| vitals.is_ready());
    for (port, _) in ready.chain(in_turn()) {
        if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await {
            return Some(stream);
        }
    }
    None
}
