//! Many events at once from one client: all answered, committed and delivered in the order sent.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{
    ConnectOptions, Driver, Etcd, Library, Received, Server, Settings, Store, event, mint, shape,
};
use serde_json::json;
use tokio::{task::unconstrained, time::Instant};

const BURST: usize = 500;

#[tokio::test]
async fn a_burst_is_committed_in_the_order_sent_on_every_transport() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    for library in [Library::JavaScript4, Library::JavaScript2, Library::Python] {
        for transports in [&["websocket"][..], &["polling"], &["polling", "websocket"]] {
            burst(&server, library, transports).await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_burst_is_committed_in_the_order_sent_on_etcd() {
    let etcd = Etcd::start().await;
    let store = Store::Etcd { endpoint: etcd.endpoint(), prefix: "/burst".to_owned() };
    let server = Server::start(&Settings::new(&store)).await;
    burst(&server, Library::JavaScript4, &["websocket"]).await;
    server.stop().await;
}

async fn burst(server: &Server, library: Library, transports: &[&str]) {
    let driver = Driver::start(library);
    let options = ConnectOptions::player(&server.url(), &mint("alice")).over(transports);
    let client = driver.connect(&options).await.unwrap();
    let started = Instant::now();
    let sent = (0..BURST)
        .map(|number| client.emit(event::BROADCAST, json!({"message": number.to_string()})));
    // Polled in order, so emitted in order, as long as tokio lets one task send so much at once.
    let answers = unconstrained(join_all(sent)).await;
    let case = format!("{library:?} over {transports:?}");
    for answer in &answers {
        shape::assert_committed(answer, event::BROADCAST, false);
    }
    let received = client.await_events(event::BROADCAST, BURST).await;
    let numbers: Vec<Option<usize>> = received.iter().map(number).collect();
    assert!(numbers.iter().copied().eq((0..BURST).map(Some)), "{case}");
    let acked: Vec<_> = answers.iter().map(|answer| shape::text(&answer["event"], "id")).collect();
    let delivered: Vec<_> =
        received.iter().map(|event| shape::text(event.payload(), "id")).collect();
    assert!(acked == delivered, "{case}");
    assert!(started.elapsed() < Duration::from_secs(20), "{case}");
    client.disconnect().await;
}

fn number(event: &Received) -> Option<usize> {
    shape::text(event.payload(), "message").parse().ok()
}
