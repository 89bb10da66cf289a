//! SIGTERM and its like: in good order and in time, whatever the clients do.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

use std::time::Duration;

use game_realtime_e2e::{
    Client, ConnectOptions, Driver, Form, Library, PATIENCE, Server, Settings, Store, event,
    free_port, mint, shape,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep},
};

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
async fn who_is_idle_half_open_or_never_joined_does_not_delay_the_exit() {
    let mut server = Server::start(&Settings::new(&Store::Memory)).await;
    let mut idle = Vec::new();
    for number in 0..30 {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
        match number % 3 {
            0 => {}
            1 => stream.write_all(b"GET /socket.io/?EIO=4&tra").await.unwrap(),
            _ => open_websocket(&mut stream).await,
        }
        idle.push(stream);
    }
    let started = Instant::now();
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(started.elapsed() < GRACE / 2, "took {:?}", started.elapsed());
    drop(idle);
}

#[tokio::test]
async fn a_node_whose_store_never_answered_ends_in_time() {
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let settings = Settings::new(&Store::Etcd { endpoint: nowhere, prefix: "/e2e".to_owned() });
    let mut server = Server::spawn(&settings);
    let spawned = Instant::now();
    while server.admin("/healthz").await.is_none() {
        assert!(spawned.elapsed() < PATIENCE, "it does not start: {}", server.log());
    }
    let started = Instant::now();
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(started.elapsed() < GRACE, "took {:?}", started.elapsed());
}

#[tokio::test]
async fn fifty_clients_that_do_not_read_do_not_delay_the_exit() {
    const STALLED: usize = 50;
    let settings = Settings::new(&Store::Memory).with("limits.send_buffer_bytes", "64KiB");
    let mut server = Server::start(&settings).await;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let socket = TcpSocket::new_v4().unwrap();
        // As little as the kernel gives, so that it is soon full.
        socket.set_recv_buffer_size(1).unwrap();
        let address = (std::net::Ipv4Addr::LOCALHOST, server.port()).into();
        let mut stream = socket.connect(address).await.unwrap();
        open_websocket(&mut stream).await;
        stream.write_all(&masked("40/core/game/v1/real-time/guest,")).await.unwrap();
        stalled.push(stream);
    }
    let driver = Driver::start(Library::JavaScript4);
    let guest = ConnectOptions::guest(&server.url()).over(&["websocket"]);
    let guest = driver.connect(&guest).await.unwrap();
    let behind = format!("game_realtime_connections_behind {STALLED}");
    let message = "x".repeat(16 * 1024);
    let started = Instant::now();
    while !server.admin("/metrics").await.unwrap().body.lines().any(|line| line == behind) {
        assert!(started.elapsed() < PATIENCE, "they fall behind");
        for _ in 0..10 {
            let ack = guest.emit(event::BROADCAST, json!({"message": message})).await;
            shape::assert_committed(&ack, event::BROADCAST, false);
        }
    }
    let started = Instant::now();
    server.terminate();
    guest.await_lifecycle("disconnect").await;
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(started.elapsed() < GRACE + SLACK, "took {:?}", started.elapsed());
    assert!(!server.log().contains("ends before everything has"), "{}", server.log());
    drop(stalled);
}

#[tokio::test]
async fn clients_are_sent_away_a_few_at_a_time() {
    const CLIENTS: usize = 40;
    let mut server = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(Library::JavaScript4);
    let guest = ConnectOptions::guest(&server.url()).over(&["websocket"]);
    let clients = (0..CLIENTS).map(|_| driver.connect(&guest));
    let clients: Vec<_> = futures_util::future::try_join_all(clients).await.unwrap();
    server.terminate();
    let closed = clients.iter().map(async |client| {
        client.await_lifecycle("disconnect").await;
        Instant::now()
    });
    let closed = futures_util::future::join_all(closed).await;
    let spread = *closed.iter().max().unwrap() - *closed.iter().min().unwrap();
    assert!(spread > GRACE / 20, "all within {spread:?}");
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    const CLIENTS: usize = 40;
    // A drain of some seconds.
    let settings = Settings::new(&Store::Memory).with("shutdown.grace", "60s");
    let mut server = Server::start(&settings).await;
    let driver = Driver::start(Library::JavaScript4);
    let guest = ConnectOptions::guest(&server.url()).over(&["websocket"]);
    let clients = (0..CLIENTS).map(|_| driver.connect(&guest));
    let clients: Vec<_> = futures_util::future::try_join_all(clients).await.unwrap();
    server.terminate();
    let first = clients.iter().map(|client| Box::pin(client.await_lifecycle("disconnect")));
    futures_util::future::select_all(first).await;
    let started = Instant::now();
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(1));
    assert!(started.elapsed() < SLACK, "took {:?}", started.elapsed());
}

#[tokio::test]
async fn every_signal_that_asks_for_the_end_begins_a_drain() {
    for name in ["INT", "HUP", "QUIT"] {
        let mut server = Server::start(&Settings::new(&Store::Memory)).await;
        let driver = Driver::start(Library::JavaScript4);
        let client = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
        server.signal(name);
        let reason = client.await_lifecycle("disconnect").await.reason.unwrap_or_default();
        assert_eq!(server.ended().await.code(), Some(0), "SIG{name} {reason}");
        let log = server.log();
        assert!(log.contains(&format!("\"signal\":\"SIG{name}\"")), "{log}");
        assert!(log.contains("\"message\":\"stopped\""), "{log}");
    }
}

#[tokio::test]
async fn a_second_signal_of_any_kind_ends_it_at_once() {
    for (first, second) in [("TERM", "INT"), ("HUP", "TERM"), ("QUIT", "QUIT"), ("HUP", "HUP")] {
        let (mut server, clients) = draining(first).await;
        sleep(Duration::from_millis(500)).await;
        let started = Instant::now();
        server.signal(second);
        assert_eq!(server.ended().await.code(), Some(1), "{first} {second}");
        assert!(started.elapsed() < SLACK, "{first} {second} took {:?}", started.elapsed());
        drop(clients);
    }
}

#[tokio::test]
async fn the_hangup_that_comes_with_another_signal_is_not_a_second_one() {
    for first in ["TERM", "HUP"] {
        let mut server = Server::start(&Settings::new(&Store::Memory)).await;
        let driver = Driver::start(Library::JavaScript4);
        let client = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
        server.signal(first);
        server.signal("HUP");
        client.await_lifecycle("disconnect").await;
        assert_eq!(server.ended().await.code(), Some(0), "{first}");
    }
}

#[tokio::test]
async fn signals_that_mean_nothing_to_a_node_end_nothing() {
    // The last two are ignored from the beginning, as by `nohup` and a shell without job control.
    for (name, ignored) in [("USR1", false), ("USR2", false), ("PIPE", false)]
        .into_iter()
        .chain([("HUP", true), ("QUIT", true)])
    {
        let settings = Settings::new(&Store::Memory);
        let settings = if ignored { settings.with_ignored_signal(name) } else { settings };
        let mut server = Server::start(&settings).await;
        let driver = Driver::start(Library::JavaScript4);
        let client = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
        server.signal(name);
        let ack = client.emit(event::BROADCAST, json!({"message": "hello"})).await;
        shape::assert_committed(&ack, event::BROADCAST, false);
        assert_eq!(server.exited(), None, "SIG{name}");
        server.terminate();
        assert_eq!(server.ended().await.code(), Some(0), "SIG{name}");
    }
}

/// A server that has begun a drain of some seconds, and the clients it waits for.
async fn draining(signal: &str) -> (Server, (Driver, Vec<Client>)) {
    const CLIENTS: usize = 40;
    let settings = Settings::new(&Store::Memory).with("shutdown.grace", "60s");
    let server = Server::start(&settings).await;
    let driver = Driver::start(Library::JavaScript4);
    let guest = ConnectOptions::guest(&server.url()).over(&["websocket"]);
    let clients = (0..CLIENTS).map(|_| driver.connect(&guest));
    let clients: Vec<_> = futures_util::future::try_join_all(clients).await.unwrap();
    server.signal(signal);
    let first = clients.iter().map(|client| Box::pin(client.await_lifecycle("disconnect")));
    futures_util::future::select_all(first).await;
    (server, (driver, clients))
}

/// Asks for a WebSocket and reads the answer's head.
async fn open_websocket(stream: &mut TcpStream) {
    let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n\
        Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
}

/// A short text frame as clients send it; the mask is 0.
fn masked(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126);
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
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
