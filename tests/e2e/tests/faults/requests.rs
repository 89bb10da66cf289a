//! One request, many askers: it happens once.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use game_realtime_e2e::{
    Client, Cluster, ClusterOptions, ConnectOptions, Flow, Traffic, TrafficOptions, event, mint,
    shape,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::turn::{short_or_long, turn};

const PARALLEL: usize = 50;
const PACE: Duration = Duration::from_millis(20);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

fn purchase(request_id: &str) -> Value {
    json!({"good_id": "sword", "count": 1, "request_id": request_id})
}

async fn buyer(traffic: &Traffic, url: &str) -> Client {
    let options = ConnectOptions::player(url, &mint("buyer")).over(&["websocket"]);
    traffic.driver().connect(&options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_parallel_sends_of_one_request_on_three_nodes_commit_once() {
    let _turn = turn().await;
    let cluster = Cluster::start(ClusterOptions::default()).await;
    let options = TrafficOptions { pace: PACE, ..TrafficOptions::default() };
    let traffic = Traffic::start(&[cluster.front.url()], options).await;
    let connecting = cluster.nodes.iter().map(|node| {
        let (traffic, url) = (&traffic, node.url());
        async move { buyer(traffic, &url).await }
    });
    let buyers = join_all(connecting).await;
    for round in 0..short_or_long(3, 30) {
        let request_id = format!("round {round}");
        let sending = (0..PARALLEL).map(|number| {
            let buyer = buyers.get(number % buyers.len()).unwrap();
            buyer.emit(event::BUY_GOOD, purchase(&request_id))
        });
        let acks = join_all(sending).await;
        assert!(acks.iter().all(|ack| ack["status"] == "ok"), "{acks:?}");
        let ids: BTreeSet<_> =
            acks.iter().map(|ack| ack["event"]["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
        let cursors: BTreeSet<_> =
            acks.iter().map(|ack| ack["event"]["cursor"].as_str().unwrap()).collect();
        assert_eq!(cursors.len(), 1, "{cursors:?}");
        let duplicates = acks.iter().filter(|ack| ack["duplicate"] == true).count();
        assert_eq!(duplicates, PARALLEL - 1);
        let stored = cluster.stored("").await;
        assert_eq!(stored.iter().filter(|event| ids.contains(&*event.id)).count(), 1);
        let bought = stored.iter().filter(|event| event.sender.user_id.as_deref() == Some("buyer"));
        assert_eq!(bought.count(), round + 1, "one a round");
    }
    traffic.await_acked(300).await;
    let epoch = traffic.epoch();
    let finished = traffic.finish().await;
    finished.judge(&cluster.stored(&epoch).await).assert_clean("fifty parallel sends");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_committed_by_a_node_that_died_before_it_answered_is_a_duplicate() {
    let _turn = turn().await;
    let linked = ClusterOptions { linked: true, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(linked).await;
    let options = TrafficOptions { pace: PACE, ..TrafficOptions::default() };
    let traffic = Traffic::start(&[cluster.front.url()], options).await;
    traffic.await_flow().await;
    for round in 0..short_or_long(2, 6) {
        let victim = round % cluster.nodes.len();
        let request_id = format!("round {round}");
        let first = buyer(&traffic, &cluster.node(victim).url()).await;
        // A receipt's lease is granted before: the answer that gets lost is the commit's.
        let ack = first.emit(event::BUY_GOOD, purchase(&format!("before {round}"))).await;
        shape::assert_committed(&ack, event::BUY_GOOD, false);
        cluster.node(victim).links().iter().for_each(|link| link.set(Flow::Deaf));
        let asking =
            first.emit_within(event::BUY_GOOD, purchase(&request_id), Cluster::REQUEST_TIMEOUT * 3);
        let dying = async {
            let sent = Instant::now();
            let id = loop {
                let stored = cluster.stored("").await;
                let bought = stored.iter().filter(|event| {
                    event.sender.connection_id == first.ready_text("connection_id")
                });
                let bought: Vec<_> = bought.collect();
                if let [_, second] = bought.as_slice() {
                    break second.id.clone();
                }
                assert!(sent.elapsed() < Duration::from_secs(5), "it is committed");
                sleep(POLL_INTERVAL).await;
            };
            cluster.node(victim).kill();
            (id, sent.elapsed())
        };
        let (answer, (id, committed)) = tokio::join!(asking, dying);
        // Deaf, the node never knew. If it lived for so long, it has said that it does not.
        if let Ok(answer) = &answer {
            shape::assert_refused(answer, "unavailable");
        }
        let second = buyer(&traffic, &cluster.node((victim + 1) % 3).url()).await;
        let ack = second.emit(event::BUY_GOOD, purchase(&request_id)).await;
        assert_eq!(shape::assert_committed(&ack, event::BUY_GOOD, true), id);
        eprintln!("unanswered commit: seen in etcd after {committed:.1?}");
        cluster.node(victim).links().iter().for_each(|link| link.set(Flow::Open));
        cluster.node(victim).restart().await;
        second.disconnect().await;
        traffic.await_acked(300).await;
    }
    let epoch = traffic.epoch();
    let finished = traffic.finish().await;
    finished.judge(&cluster.stored(&epoch).await).assert_clean("killed between commit and answer");
    cluster.stop().await;
}
