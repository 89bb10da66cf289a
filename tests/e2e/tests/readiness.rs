//! A node whose etcd is not there: alive, honest about it, and well again by itself.
#![expect(clippy::panic, reason = "tests may fail")]

use game_realtime_e2e::{
    ConnectOptions, Driver, Etcd, Form, Library, PATIENCE, Server, Settings, Store, event,
    free_port, mint, shape,
};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep, timeout};

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Waits until the admin port answers `path` with `status`, and returns the body.
async fn await_status(server: &Server, path: &str, status: u16) -> String {
    let answered = async {
        loop {
            match server.admin(path).await {
                Some(response) if response.status == status => return response.body,
                Some(_) | None => sleep(POLL_INTERVAL).await,
            }
        }
    };
    timeout(PATIENCE, answered).await.unwrap_or_else(|_| panic!("{path} does not say {status}"))
}

#[tokio::test]
async fn a_node_without_etcd_lives_says_so_and_becomes_ready_when_etcd_comes() {
    let etcd_port = free_port();
    let endpoint = format!("http://127.0.0.1:{etcd_port}");
    let prefix = "/e2e/readiness".to_owned();
    let mut server = Server::spawn(&Settings::new(&Store::Etcd { endpoint, prefix }));
    await_status(&server, "/healthz", 200).await;
    let reason = await_status(&server, "/readyz", 503).await;
    let json_reason = reason.split(['\r', '\n']).find(|line| line.starts_with('{'));
    let reason: Value = serde_json::from_str(json_reason.unwrap_or(&reason)).unwrap();
    assert!(reason.is_object(), "{reason}");
    assert!(server.log().contains("\"not ready yet\",\"reasons\":\"store: "), "{}", server.log());

    let driver = Driver::start(Library::JavaScript4);
    let alice = ConnectOptions::player(&server.url(), &mint("alice"));
    for form in [Form::Path, Form::Namespace] {
        let refused = driver.connect(&alice.clone().by(form)).await.err();
        let message = refused.map(|refused| refused.message);
        assert_eq!(message.as_deref(), Some("unavailable"), "{form:?}");
    }
    assert!(server.exited().is_none());

    let etcd = Etcd::start_on(etcd_port).await;
    server.await_ready().await;
    assert!(server.log().contains("\"message\":\"ready\""), "{}", server.log());
    let client = driver.connect(&alice).await.unwrap();
    let ack = client.emit(event::BROADCAST, json!({"message": "at last"})).await;
    shape::assert_committed(&ack, event::BROADCAST, false);
    client.await_events(event::BROADCAST, 1).await;
    server.stop().await;
    drop(etcd);
}

#[tokio::test]
async fn a_short_outage_of_etcd_closes_nobody_and_loses_nothing() {
    let etcd = Etcd::start().await;
    let (endpoint, prefix) = (etcd.endpoint(), "/e2e/outage".to_owned());
    let settings = Settings::new(&Store::Etcd { endpoint, prefix })
        .with("etcd.request_timeout", "1s")
        .with("etcd.lease_ttl", "5s");
    let server = Server::start(&settings).await;
    let driver = Driver::start(Library::JavaScript4);
    let alice = driver.connect(&ConnectOptions::player(&server.url(), &mint("alice"))).await;
    let alice = alice.unwrap();
    etcd.freeze();
    let refused = alice.emit(event::BROADCAST, json!({"message": "1", "request_id": "1"})).await;
    shape::assert_refused(&refused, "unavailable");
    await_status(&server, "/readyz", 503).await;
    await_status(&server, "/healthz", 200).await;
    etcd.thaw();
    await_status(&server, "/readyz", 200).await;
    // The first may have been committed after all; the request id keeps it from happening twice.
    let committed = alice.emit(event::BROADCAST, json!({"message": "1", "request_id": "1"})).await;
    assert_eq!(committed["status"], "ok", "{committed}");
    let last = alice.emit(event::BROADCAST, json!({"message": "2"})).await;
    let id = shape::assert_committed(&last, event::BROADCAST, false);
    alice.await_event(|event| event.payload()["id"] == id).await;
    let heard = alice.await_events(event::BROADCAST, 2).await;
    let messages: Vec<_> = heard.iter().map(|event| &event.payload()["message"]).collect();
    assert_eq!(messages, ["1", "2"]);
    assert_eq!(alice.events().iter().filter(|event| event.name == event::READY).count(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_long_outage_of_etcd_sends_clients_away_and_they_come_back_complete() {
    let etcd = Etcd::start().await;
    let (endpoint, prefix) = (etcd.endpoint(), "/e2e/isolation".to_owned());
    let settings = Settings::new(&Store::Etcd { endpoint, prefix })
        .with("etcd.request_timeout", "1s")
        .with("etcd.isolation_grace", "4s");
    let server = Server::start(&settings).await;
    let driver = Driver::start(Library::JavaScript4);
    let options = ConnectOptions::player(&server.url(), &mint("alice"));
    let alice = driver.connect(&options).await.unwrap();
    alice.emit(event::BROADCAST, json!({"message": "before"})).await;
    let before = alice.await_events(event::BROADCAST, 1).await;
    let cursor = before[0].payload()["cursor"].as_str().unwrap_or_default().to_owned();

    let frozen_at = Instant::now();
    etcd.freeze();
    let reason = alice.await_lifecycle("disconnect").await.reason.unwrap_or_default();
    // A goodbye of the server ("io server disconnect") would keep stock clients away.
    assert_eq!(reason, "transport close");
    let held = frozen_at.elapsed();
    assert!(held >= Duration::from_secs(3), "given up after {held:?}");
    let refused = driver.connect(&options).await.err().map(|refused| refused.message);
    assert_eq!(refused.as_deref(), Some("unavailable"));

    etcd.thaw();
    await_status(&server, "/readyz", 200).await;
    let alice = driver.connect(&options.from_cursor(&cursor)).await.unwrap();
    assert_eq!(alice.ready()["recovery"], json!({"status": "recovered", "replayed": 0}));
    let last = alice.emit(event::BROADCAST, json!({"message": "after"})).await;
    shape::assert_committed(&last, event::BROADCAST, false);
    alice.await_events(event::BROADCAST, 1).await;
    server.stop().await;
}

#[tokio::test]
async fn a_node_with_the_embedded_store_is_ready_and_counts() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(Library::JavaScript4);
    let guest = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
    guest.emit(event::BROADCAST, json!({"message": "counted"})).await;
    guest.await_events(event::BROADCAST, 1).await;
    let metrics = await_status(&server, "/metrics", 200).await;
    for name in [
        "connections",
        "connects_total",
        "events_total",
        "deliveries_total",
        "commit_seconds",
        "feed_lag_seconds",
        "store_up",
        "recoveries_total",
    ] {
        assert!(metrics.contains(&format!("game_realtime_{name}")), "{name} is not in {metrics}");
    }
    server.stop().await;
}
