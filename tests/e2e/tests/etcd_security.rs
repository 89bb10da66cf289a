//! An etcd with TLS, client certificates, users and roles, set up as the documentation says.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail")]

use std::{path::Path, time::Duration};

use game_realtime_e2e::{
    Certificates, ConnectOptions, Driver, Etcd, Library, Namespace, PATIENCE, Server, Settings,
    Store, event, mint, shape,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

const DOCUMENTATION: &str = include_str!("../../../docs/etcd.md");
const PREFIX: &str = "/core/game/v1";
const PASSWORD: &str = "correct-horse-battery";
const ROOT_PASSWORD: &str = "staple";
const SECRETS: [(&str, &str); 2] = [("PASSWORD", PASSWORD), ("ROOT_PASSWORD", ROOT_PASSWORD)];

/// The commands of the documentation.
fn commands() -> &'static str {
    let (_, section) = DOCUMENTATION.split_once("## Authentication and TLS").unwrap();
    section.split("```").nth(1).unwrap().strip_prefix("sh\n").unwrap()
}

async fn secured(certificates: &Certificates, more: &[&str]) -> Etcd {
    let etcd = Etcd::start_secured(certificates, more).await;
    etcd.run(commands(), &SECRETS).unwrap();
    etcd
}

fn settings(etcd: &Etcd, certificates: &Certificates) -> Settings {
    let (certificate, key) = certificates.of("client");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (endpoint, prefix) = (etcd.endpoint(), PREFIX.to_owned());
    Settings::new(&Store::Etcd { endpoint, prefix })
        .with("etcd.username", "game-realtime")
        .with("etcd.password", PASSWORD)
        .with("etcd.request_timeout", "1s")
        .with("etcd.tls.ca_file", &text(&certificates.ca()))
        .with("etcd.tls.cert_file", &text(&certificate))
        .with("etcd.tls.key_file", &text(&key))
}

/// The lines of a log that somebody should look at.
fn complaints(server: &Server) -> Vec<String> {
    let log = server.log();
    let lines =
        log.lines().filter(|line| !line.contains("\"INFO\"") && !line.contains("\"DEBUG\""));
    lines.map(str::to_owned).collect()
}

fn as_root(etcd: &Etcd, script: &str) -> Result<String, String> {
    etcd.run(script, &[("ETCDCTL_USER", &format!("root:{ROOT_PASSWORD}"))])
}

/// One event of each kind, with all that the store does for it.
async fn play(server: &Server, user: &str) {
    let driver = Driver::start(Library::JavaScript4);
    let options = ConnectOptions::player(&server.url(), &mint(user));
    let player = driver.connect(&options).await.unwrap();
    shape::assert_ready(player.ready(), Namespace::Private, Some(user), "fresh");
    for (name, payload) in [
        (event::BROADCAST, json!({"message": "hello", "request_id": format!("{user}-1")})),
        (event::SEND_MESSAGE, json!({"target_user_id": user, "text": "myself"})),
        (event::BUY_GOOD, json!({"good_id": "sword", "count": 1})),
    ] {
        let ack = player.emit(name, payload.clone()).await;
        let id = shape::assert_committed(&ack, name, false);
        player.await_event(|event| event.payload()["id"] == id).await;
        if payload.get("request_id").is_some() {
            shape::assert_committed(&player.emit(name, payload).await, name, true);
        } else if name == event::SEND_MESSAGE {
            assert_eq!(ack["recipient"]["connections"], 1, "{ack}");
        }
    }
    player.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_permissions_suffice_and_tokens_that_are_lost_do_no_harm() {
    let certificates = Certificates::new("some node");
    let mut etcd = secured(&certificates, &["--auth-token-ttl=2"]).await;
    let settings = settings(&etcd, &certificates)
        .with("log.level", "debug")
        .with("etcd.compaction_interval", "1s");
    let server = Server::start(&settings).await;
    play(&server, "alice").await;
    // Longer than a token lives.
    sleep(Duration::from_millis(4_500)).await;
    play(&server, "bob").await;
    let metrics = server.admin("/metrics").await.unwrap().body;
    assert!(!metrics.contains("game_realtime_compactions_total 0"), "the user may compact");
    assert!(!metrics.contains(r#"store_space_bytes{kind="file"} 0"#), "and ask for the size");
    assert_eq!(complaints(&server), [""; 0]);

    // No more than the role says.
    let user = format!("game-realtime:{PASSWORD}");
    let outside = etcd.run("etcdctl put /core/game/v2/x y", &[("ETCDCTL_USER", &user)]);
    assert!(outside.unwrap_err().contains("permission denied"));

    // Simple tokens live in the memory of a member.
    etcd.restart().await;
    let driver = Driver::start(Library::JavaScript4);
    let options = ConnectOptions::player(&server.url(), &mint("carol"));
    let back = async {
        while driver.connect(&options).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, back).await.unwrap();
    play(&server, "dave").await;
    assert!(server.admin("/readyz").await.is_some_and(|response| response.status == 200));

    let log = server.log();
    server.stop().await;
    for secret in [PASSWORD, ROOT_PASSWORD, &mint("alice")[..40]] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    // What hung on leases went with them, which takes the right to delete it.
    let left = as_root(&etcd, &format!("etcdctl get --prefix --keys-only {PREFIX}/connections/"));
    assert_eq!(left.unwrap().trim(), "");
    let all = as_root(&etcd, "etcdctl get --prefix --keys-only ''").unwrap();
    assert!(all.contains(&format!("{PREFIX}/log/")), "{all}");
    let keys = all.lines().filter(|line| !line.is_empty());
    assert!(keys.clone().all(|key| key.starts_with(&format!("{PREFIX}/"))), "{all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_can_be_the_user() {
    let certificates = Certificates::new("game-realtime");
    let etcd = secured(&certificates, &[]).await;
    let settings =
        settings(&etcd, &certificates).with("etcd.username", "").with("etcd.password", "");
    let server = Server::start(&settings).await;
    play(&server, "alice").await;
    assert_eq!(complaints(&server), [""; 0]);
    server.stop().await;
}

/// Watches a node that etcd does not let in; returns what `/readyz` and the log say.
async fn kept_out(etcd: &Etcd, settings: &Settings) -> (String, String) {
    let mut server = Server::spawn(settings);
    let deadline = Instant::now() + PATIENCE;
    let reason = loop {
        assert!(server.exited().is_none(), "it goes on trying: {}", server.log());
        assert!(Instant::now() < deadline, "it does not say why: {}", server.log());
        if let Some(response) = server.admin("/readyz").await {
            assert_eq!(response.status, 503);
            let reasons: Value = serde_json::from_str(&response.body).unwrap();
            let reasons = reasons["reasons"].as_array().unwrap().clone();
            let store = reasons.iter().find(|reason| reason["check"] == "store");
            let message = store.unwrap()["message"].as_str().unwrap().to_owned();
            // At first it may not know yet.
            if !message.contains("no answer within") && !complaints(&server).is_empty() {
                break message;
            }
        }
        sleep(Duration::from_millis(50)).await;
    };
    let (asked, calls) = (Instant::now(), etcd.count_calls("Authenticate").await);
    sleep(Duration::from_secs(2)).await;
    let more = etcd.count_calls("Authenticate").await - calls;
    let per_second = more as f64 / asked.elapsed().as_secs_f64();
    assert!(per_second < 15.0, "{per_second} attempts a second");
    let log = server.log();
    assert!(complaints(&server).len() < 12, "{log}");
    for secret in [PASSWORD, "a wrong password"] {
        assert!(!log.contains(secret) && !reason.contains(secret), "{log} {reason}");
    }
    server.stop().await;
    (reason, log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_etcd_does_not_let_in_says_why_and_keeps_its_secrets() {
    let certificates = Certificates::new("some node");
    let etcd = secured(&certificates, &[]).await;
    let stranger = Certificates::new("stranger");
    let good = settings(&etcd, &certificates).with("log.level", "debug");
    let (theirs, key) = stranger.of("client");
    for (settings, why) in [
        (good.clone().with("etcd.password", "a wrong password"), "invalid user id or password"),
        (good.clone().with("etcd.username", "nobody"), "invalid user id or password"),
        (good.clone().with("etcd.prefix", "/elsewhere"), "permission denied"),
        (good.clone().with("etcd.tls.ca_file", stranger.ca().to_str().unwrap()), "certificate"),
        (
            good.clone()
                .with("etcd.tls.cert_file", theirs.to_str().unwrap())
                .with("etcd.tls.key_file", key.to_str().unwrap()),
            "certificate",
        ),
    ] {
        let (reason, log) = kept_out(&etcd, &settings).await;
        for place in [&reason, &log] {
            assert!(place.to_lowercase().contains(why), "{why} is not in {place}");
        }
    }
}
