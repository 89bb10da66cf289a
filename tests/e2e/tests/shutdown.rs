//! SIGTERM: in good order and in time, whatever the clients do.

use std::time::Duration;

use game_realtime_e2e::{
    ConnectOptions, Driver, Form, Library, Server, Settings, Store, event, mint, shape,
};
use serde_json::json;
use tokio::{net::TcpStream, time::Instant};

/// The default `shutdown.grace`, and what a busy machine may add.
const GRACE: Duration = Duration::from_secs(5);
const SLACK: Duration = Duration::from_secs(1);

const LIBRARIES: [Library; 4] =
    [Library::JavaScript4, Library::JavaScript3, Library::JavaScript2, Library::Python];

#[tokio::test]
async fn clients_see_their_transport_close_and_the_server_exits_with_0_in_time() {
    let mut server = Server::start(&Settings::new(&Store::Memory)).await;
    let drivers = LIBRARIES.map(Driver::start);
    let mut clients = Vec::new();
    for driver in &drivers {
        for transport in ["websocket", "polling"] {
            for form in [Form::Path, Form::Namespace] {
                let options = ConnectOptions::player(&server.url(), &mint("alice"))
                    .by(form)
                    .over(&[transport]);
                clients.push(driver.connect(&options).await.unwrap());
            }
        }
    }
    let ack = clients[0].emit(event::BROADCAST, json!({"message": "hello"})).await;
    shape::assert_committed(&ack, event::BROADCAST, false);
    for client in &clients {
        client.await_events(event::BROADCAST, 1).await;
    }

    let started = Instant::now();
    server.terminate();
    for client in &clients {
        let reason = client.await_lifecycle("disconnect").await.reason.unwrap_or_default();
        // A goodbye of the server ("io server disconnect") would keep stock clients away.
        let closed = matches!(&*reason, "transport close" | "transport error");
        assert!(closed, "{}: {reason}", client.name());
    }
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(started.elapsed() < GRACE + SLACK, "took {:?}", started.elapsed());
}

#[tokio::test]
async fn idle_and_half_open_connections_do_not_delay_the_exit() {
    let mut server = Server::start(&Settings::new(&Store::Memory)).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(("127.0.0.1", server.port())).await.unwrap());
    }
    let started = Instant::now();
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(started.elapsed() < GRACE + SLACK, "took {:?}", started.elapsed());
    drop(idle);
}

#[tokio::test]
async fn what_was_sent_before_the_end_is_answered_and_what_was_acknowledged_is_kept() {
    const SENT: usize = 200;
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings::new(&Store::File(directory.path().join("events.redb")));
    let mut server = Server::start(&settings).await;
    let driver = Driver::start(Library::JavaScript4);
    let options = ConnectOptions::player(&server.url(), &mint("alice")).over(&["websocket"]);
    let alice = driver.connect(&options).await.unwrap();
    let beginning = alice.ready_text("cursor").to_owned();
    let sending = futures_util::future::join_all((0..SENT).map(|number| {
        let client = &alice;
        async move {
            let args = vec![json!({"message": number.to_string()})];
            tokio::select! {
                answer = client.try_emit(event::BROADCAST, args) => answer.ok(),
                _ = client.await_lifecycle("disconnect") => None,
            }
        }
    }));
    let (answers, ()) = tokio::join!(sending, async {
        alice.await_events(event::BROADCAST, 1).await;
        server.terminate();
    });
    assert_eq!(server.ended().await.code(), Some(0));
    let acked: Vec<String> = answers
        .into_iter()
        .flatten()
        .filter(|answer| answer[0]["status"] == "ok")
        .map(|answer| answer[0]["event"]["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(!acked.is_empty());

    let server = Server::start(&settings).await;
    let again = ConnectOptions::player(&server.url(), &mint("alice")).from_cursor(&beginning);
    let again = driver.connect(&again).await.unwrap();
    let replayed = again.ready()["recovery"]["replayed"].as_u64().unwrap();
    let kept = again.await_events(event::BROADCAST, usize::try_from(replayed).unwrap()).await;
    for id in acked {
        assert!(kept.iter().any(|event| event.payload()["id"] == *id), "{id} is lost");
    }
    server.stop().await;
}
