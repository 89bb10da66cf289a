//! Every scenario against the real gateway.

use std::{fs, process};

use game_realtime_e2e::{Etcd, SECRET, Server, Settings, Store, mint};

use crate::program::{Outcome, report};

async fn server() -> Server {
    Server::start(&Settings::new(&Store::Memory)).await
}

/// Runs a scenario with few connections and little time.
async fn run(server: &Server, arguments: &[&str]) -> Outcome {
    let url = server.url();
    let common =
        ["--node", &url, "--warm-up", "100ms", "--duration", "400ms", "--aftermath", "50ms"];
    let arguments: Vec<String> = arguments.iter().chain(&common).map(ToString::to_string).collect();
    let run = move || report(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.expect("the run ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_opened_and_held() {
    let server = server().await;
    let connected = run(&server, &["connect", "-n", "30", "--secret", SECRET]).await;
    connected.assert_clean();
    assert_eq!(connected.number("connect.ready"), 29, "one was let in before");
    assert_eq!(connected.number("connect.latency.count"), 29);

    let pid = server.pid().to_string();
    let idle =
        run(&server, &["idle", "-n", "30", "--guest", "--server-pid", &format!("node={pid}")])
            .await;
    idle.assert_clean();
    assert!(idle.number("servers.node.rss_bytes") > 1 << 20, "{:#}", idle.report);
    assert_eq!(idle.number("servers.node.pids.0").to_string(), pid);
}

#[tokio::test(flavor = "multi_thread")]
async fn broadcasts_reach_everybody_in_every_pace_and_form() {
    let server = server().await;
    let paces: [&[&str]; 3] = [&["--rate", "200"], &["--in-flight", "3"], &["--burst", "10"]];
    let forms: [&[&str]; 3] = [
        &["--guest"],
        &["--guest", "--form", "namespace"],
        &["--secret", SECRET, "--senders", "4"],
    ];
    for (pace, form) in paces.into_iter().zip(forms) {
        let outcome = run(&server, &[&["broadcast", "-n", "20"], pace, form].concat()).await;
        outcome.assert_clean();
        assert_eq!(outcome.number("verdict.delivered"), 20 * outcome.number("verdict.sent"));
        assert!(outcome.number("measured.sent") > 0);
        assert!(
            outcome.number("measured.delivery_latency.count")
                >= 20 * outcome.number("measured.sent")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_two_users_and_purchases_one() {
    let server = server().await;
    let flags = ["-n", "20", "--users", "10", "--secret", SECRET, "--rate", "200"];
    let direct = run(&server, &[&["direct"], &flags[..]].concat()).await;
    direct.assert_clean();
    assert_eq!(direct.number("verdict.delivered"), 4 * direct.number("verdict.sent"));

    let purchases = run(&server, &[&["purchase"], &flags[..]].concat()).await;
    purchases.assert_clean();
    assert_eq!(purchases.number("verdict.delivered"), 2 * purchases.number("verdict.sent"));

    let mixed = run(&server, &[&["mixed", "--mix", "1:1:1"], &flags[..]].concat()).await;
    mixed.assert_clean();
    assert!(mixed.number("verdict.delivered") > 4 * mixed.number("verdict.sent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_gets_what_they_missed() {
    let server = server().await;
    let flags = ["reconnect", "-n", "20", "--secret", SECRET, "--missed", "50", "--rate", "100"];
    let outcome = run(&server, &flags).await;
    outcome.assert_clean();
    assert_eq!(outcome.number("verdict.recovered"), 19);
    assert_eq!(outcome.number("measured.catch_up_latency.count"), 19);
    assert_eq!(outcome.number("verdict.delivered"), 20 * outcome.number("verdict.sent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_from_node_to_node() {
    let etcd = Etcd::start().await;
    let store = Store::Etcd { endpoint: etcd.endpoint(), prefix: "/loadgen".to_owned() };
    let (one, other) = (server_on(&store).await, server_on(&store).await);
    let url = other.url();
    let flags = ["direct", "-n", "20", "--rate", "200", "--secret", SECRET, "--node", &url];
    let outcome = run(&one, &flags).await;
    outcome.assert_clean();
    assert_eq!(outcome.report["nodes"].as_array().map(Vec::len), Some(2));
}

async fn server_on(store: &Store) -> Server {
    Server::start(&Settings::new(store)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_come_from_a_file() {
    let server = server().await;
    let file = std::env::temp_dir().join(format!("loadgen-tokens-{}", process::id()));
    fs::write(&file, format!("alice {}\nbob {}\n", mint("alice"), mint("bob"))).unwrap();
    let path = file.to_string_lossy().into_owned();
    let outcome = run(&server, &["direct", "-n", "4", "--rate", "50", "--token-file", &path]).await;
    fs::remove_file(&file).unwrap();
    outcome.assert_clean();
    assert_eq!(outcome.number("users"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_counted() {
    let server = server().await;
    let outcome = run(&server, &["connect", "-n", "5"]).await;
    assert_eq!((outcome.code, outcome.number("verdict.not_connected")), (Some(1), 5));
    assert!(outcome.report.to_string().contains("unauthenticated"), "{:#}", outcome.report);

    // The message is longer than the gateway takes.
    let flags = ["broadcast", "-n", "5", "--guest", "--rate", "50", "--message-length", "20000"];
    let outcome = run(&server, &flags).await;
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.number("verdict.refused"), outcome.number("verdict.sent"));
    assert!(
        outcome.report.to_string().contains("refused: invalid_payload"),
        "{:#}",
        outcome.report
    );
}
