//! The baseline: socketioxide on hyper with default settings, and nothing else. Who joins is in
//! one room; what is broadcast goes to everybody, uncommitted.

use std::net::Ipv4Addr;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
};
use tokio::{net::TcpListener, runtime};

use crate::subject::EVENT;

const ROOM: &str = "private";

/// Serves on the port that the command line names until the process is killed.
///
/// # Panics
/// When it cannot.
pub fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port");
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(serve(port));
}

async fn serve(port: u16) {
    let (service, io) = SocketIo::new_svc();
    io.ns("/", async |socket: SocketRef| {
        socket.join(ROOM);
        socket.on(EVENT, async |io: SocketIo, Data::<Value>(data), acknowledge: AckSender| {
            io.emit(EVENT, &data).await.expect("everybody has room");
            acknowledge.send(&json!({"status": "ok"})).ok();
        });
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("a free port");
    loop {
        let (tcp, _) = listener.accept().await.expect("enough open files");
        tcp.set_nodelay(true).expect("a connected socket");
        let service = service.clone();
        tokio::spawn(async move {
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(tcp), service).with_upgrades();
            // A client that leaves is no failure.
            connection.await.ok();
        });
    }
}
