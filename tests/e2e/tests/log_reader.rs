//! Another process reads what a node logs. It may stop reading, or end: the players must not notice.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "tests may fail")]

use std::{
    io::{PipeReader, Read as _, pipe},
    process::Stdio,
    thread,
    time::Duration,
};

use game_realtime_e2e::{
    Client, ConnectOptions, Driver, Library, Server, Settings, Store, event, shape,
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

/// The default `shutdown.grace`, and what a busy machine may add.
const IN_TIME: Duration = Duration::from_secs(6);

/// More lines than a pipe takes, one or two each.
const CROWD: usize = 200;

fn stderr_beside() -> Stdio {
    Stdio::null()
}

async fn guest(driver: &Driver, server: &Server) -> Client {
    let options = ConnectOptions::guest(&server.url()).over(&["websocket"]);
    let connected = timeout(IN_TIME, driver.connect(&options)).await;
    connected.expect("the node is not frozen").unwrap()
}

async fn is_served(client: &Client, message: &str) {
    let ack = client.emit_within(event::BROADCAST, json!({"message": message}), IN_TIME).await;
    shape::assert_committed(&ack.unwrap(), event::BROADCAST, false);
}

/// Has the node log more than the pipe and the node's own buffer take, at debug.
async fn say_much(client: &Client) {
    for _ in 0..15 {
        let said = (0..100).map(|number| is_served(client, if number == 0 { "a" } else { "b" }));
        futures_util::future::join_all(said).await;
    }
}

async fn dropped_lines(server: &Server) -> u64 {
    let metrics = server.admin("/metrics").await.unwrap().text();
    let name = "game_realtime_log_lines_dropped_total ";
    metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
}

async fn ends_in_time(server: &mut Server) {
    let started = Instant::now();
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(started.elapsed() < IN_TIME, "took {:?}", started.elapsed());
}

/// The lines that a reader who returns finds, up to the end of the process.
fn read_on(mut reader: PipeReader) -> thread::JoinHandle<Vec<Value>> {
    thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    })
}

#[tokio::test]
async fn a_reader_that_stalls_freezes_nobody() {
    let (_stalled, log) = pipe().unwrap();
    let settings = Settings::new(&Store::Memory);
    let mut server = Server::spawn_writing_to(&settings, log.into(), stderr_beside());
    server.await_ready().await;
    let driver = Driver::start(Library::JavaScript4);
    let crowd = (0..CROWD).map(|_| guest(&driver, &server));
    let crowd = futures_util::future::join_all(crowd).await;
    assert_eq!(server.admin("/healthz").await.map(|answer| answer.status), Some(200));
    is_served(&crowd[0], "hello").await;
    is_served(&crowd[CROWD - 1], "hello").await;
    ends_in_time(&mut server).await;
}

#[tokio::test]
async fn lines_that_nobody_reads_are_dropped_counted_and_said_to_be_missing() {
    let (reader, log) = pipe().unwrap();
    let settings = Settings::new(&Store::Memory).with("log.level", "debug");
    let mut server = Server::spawn_writing_to(&settings, log.into(), stderr_beside());
    server.await_ready().await;
    let driver = Driver::start(Library::JavaScript4);
    let client = guest(&driver, &server).await;
    assert_eq!(dropped_lines(&server).await, 0);
    say_much(&client).await;
    let dropped = dropped_lines(&server).await;
    assert!(dropped > 0);
    let lines = read_on(reader);
    is_served(&client, "the reader is back").await;
    ends_in_time(&mut server).await;
    let lines = lines.join().unwrap();
    let missing = lines.iter().filter_map(|line| line["dropped"].as_u64()).sum::<u64>();
    assert!(missing >= dropped, "{missing} of {dropped}");
    // What is dropped with the process may have a word after that.
    assert!(
        lines.iter().rev().take(5).any(|line| line["message"] == "stopped"),
        "{:?}",
        lines.last()
    );
}

#[tokio::test]
async fn a_reader_that_is_gone_takes_nobody_with_it() {
    for both in [false, true] {
        let (reader, log) = pipe().unwrap();
        let stderr = if both { log.try_clone().unwrap().into() } else { stderr_beside() };
        let settings = Settings::new(&Store::Memory);
        let mut server = Server::spawn_writing_to(&settings, log.into(), stderr);
        server.await_ready().await;
        drop(reader);
        let driver = Driver::start(Library::JavaScript4);
        let clients = [guest(&driver, &server).await, guest(&driver, &server).await];
        is_served(&clients[0], "hello").await;
        assert!(dropped_lines(&server).await > 0);
        assert_eq!(server.exited(), None, "{both}");
        ends_in_time(&mut server).await;
    }
}

#[tokio::test]
async fn a_panic_is_survived_while_nobody_reads_either_stream() {
    let (_stalled, log) = pipe().unwrap();
    let settings = Settings::new(&Store::Memory).with("log.level", "debug");
    let stderr = log.try_clone().unwrap();
    let mut server = Server::spawn_writing_to(&settings, log.into(), stderr.into());
    server.await_ready().await;
    let driver = Driver::start(Library::JavaScript4);
    let client = guest(&driver, &server).await;
    say_much(&client).await;
    server.panic_at("request");
    server.admin("/healthz").await.unwrap();
    let options = ConnectOptions::guest(&server.url()).over(&["websocket"]);
    timeout(IN_TIME, driver.connect(&options)).await.expect("an answer or its end").ok();
    server.await_panic().await;
    is_served(&client, "still here").await;
    // One that the node cannot do without ends it, with an error that nobody reads.
    server.panic_at("delivery");
    let started = Instant::now();
    client.emit_within(event::BROADCAST, json!({"message": "last"}), IN_TIME).await.ok();
    assert_eq!(server.ended().await.code(), Some(1));
    assert!(started.elapsed() < IN_TIME, "took {:?}", started.elapsed());
}

#[tokio::test]
async fn the_banner_waits_for_nobody() {
    let (_stalled, mut full) = pipe().unwrap();
    fill(&mut full);
    let settings = Settings::new(&Store::Memory).with("log.format", "pretty");
    let mut server = Server::spawn_writing_to(&settings, Stdio::null(), full.into());
    server.await_ready().await;
    let driver = Driver::start(Library::JavaScript4);
    is_served(&guest(&driver, &server).await, "hello").await;
    ends_in_time(&mut server).await;
}

/// Fills a pipe to its last byte.
fn fill(pipe: &mut std::io::PipeWriter) {
    use std::io::Write as _;
    // What a pipe holds, unless the system is short of memory for pipes.
    pipe.write_all(&[b'x'; 64 * 1024]).unwrap();
}
