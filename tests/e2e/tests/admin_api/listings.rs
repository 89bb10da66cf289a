//! Lists of connections and events.

use game_realtime_e2e::{Client, Driver, Etcd, Library, event, shape};
use serde_json::{Value, json};

use crate::nodes::{ApiNode, NO_CONNECTION, cluster};

/// Pages through connections; their ids in order.
async fn page_through(node: &ApiNode, path: &str, limit: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let separator = if path.contains('?') { '&' } else { '?' };
        let page = node.api.get(&format!("{path}{separator}limit={limit}{cursor}")).await;
        assert_eq!(page.status, 200, "{}", page.json);
        shape::assert_keys(&page.json, &["connections", "next_cursor"]);
        let connections = page.json["connections"].as_array().unwrap();
        assert!(connections.len() <= limit);
        for connection in connections {
            let keys = ["connection_id", "namespace", "user_id", "node_id", "connected_at"];
            shape::assert_keys(connection, &keys);
            ids.push(shape::text(connection, "connection_id").to_owned());
        }
        match page.json["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
        assert_eq!(connections.len(), limit, "only a full page has another after it");
    }
}

fn ids<'a>(clients: impl IntoIterator<Item = &'a Client>) -> Vec<String> {
    let mut ids: Vec<_> =
        clients.into_iter().map(|client| client.ready_text("connection_id").to_owned()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_all_nodes_are_listed_page_by_page() {
    let etcd = Etcd::start().await;
    let nodes = cluster(&etcd, "/e2e/api/list", 2).await;
    let driver = Driver::start(Library::JavaScript4);
    let (mut alices, mut bobs, mut guests) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..7 {
        let node = &nodes[number % 2];
        alices.push(driver.connect(&node.player("alice/ä +")).await.unwrap());
        guests.push(driver.connect(&node.guest()).await.unwrap());
    }
    bobs.push(driver.connect(&nodes[0].player("bob")).await.unwrap());
    let alice = "/api/v1/connections?user_id=alice%2F%C3%A4+%2B";
    for limit in [1, 3, 7, 8, 1000] {
        assert_eq!(page_through(&nodes[1], alice, limit).await, ids(&alices), "{limit}");
        let private = "/api/v1/namespaces/private/connections";
        let players = ids(alices.iter().chain(&bobs));
        assert_eq!(page_through(&nodes[0], private, limit).await, players, "{limit}");
        let guest = "/api/v1/namespaces/guest/connections";
        assert_eq!(page_through(&nodes[1], guest, limit).await, ids(&guests), "{limit}");
    }
    assert_eq!(page_through(&nodes[0], "/api/v1/connections?user_id=nobody", 5).await, [""; 0]);
    let bob = nodes[1].api.get("/api/v1/connections?user_id=bob").await.json;
    let bob = &bob["connections"][0];
    assert_eq!((&bob["user_id"], &bob["namespace"]), (&json!("bob"), &json!("private")));
    let guest = nodes[1].api.get("/api/v1/namespaces/guest/connections?limit=1").await.json;
    assert_eq!(guest["connections"][0]["user_id"], Value::Null);
    for node in nodes {
        node.server.stop().await;
    }
}

async fn events_are_listed(here: &ApiNode, there: &ApiNode) {
    let driver = Driver::start(Library::JavaScript4);
    let alice = driver.connect(&there.player("alice")).await.unwrap();
    let list = async |event: &str, query: &str| {
        let answer = here.api.get(&format!("/api/v1/events/{event}{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.json);
        shape::assert_keys(&answer.json, &["type", "events"]);
        assert_eq!(answer.json["type"], event);
        answer.json["events"].as_array().unwrap().clone()
    };
    assert!(list(event::BROADCAST, "").await.is_empty());
    let mut answers = Vec::new();
    for number in 0..60 {
        let payload = json!({"message": number.to_string()});
        answers.push(match number % 3 {
            0 => alice.emit(event::BROADCAST, payload).await,
            1 => there.api.publish(event::BROADCAST, "namespace=guest", &payload).await.json,
            _ => here.api.publish(event::BROADCAST, "user_id=alice", &payload).await.json,
        });
    }
    here.api.publish(event::BUY_GOOD, "user_id=bob", &json!({"good_id": "x", "count": 1})).await;
    answers.reverse();
    for (query, count) in [("", 50), ("?limit=1", 1), ("?limit=7", 7), ("?limit=100", 60)] {
        let listed = list(event::BROADCAST, query).await;
        assert_eq!(listed.len(), count, "{query}");
        for (item, answer) in listed.iter().zip(&answers) {
            shape::assert_keys(item, &["namespace", "event"]);
            let event = &item["event"];
            shape::assert_keys(event, &["message", "id", "cursor", "created_at", "sender"]);
            for key in ["id", "cursor", "created_at"] {
                assert_eq!(event[key], answer["event"][key], "{event}");
            }
            let number: usize = event["message"].as_str().unwrap().parse().unwrap();
            let through = alice.ready_text("connection_id");
            let (namespace, user_id, connection_id) = match number % 3 {
                0 => ("private", json!("alice"), through),
                1 => ("guest", Value::Null, NO_CONNECTION),
                _ => ("private", json!("alice"), NO_CONNECTION),
            };
            assert_eq!(item["namespace"], namespace);
            let sender = json!({"user_id": user_id, "connection_id": connection_id});
            assert_eq!(event["sender"], sender);
        }
    }
    assert_eq!(list(event::BUY_GOOD, "").await.len(), 1);
    assert_eq!(list(event::SEND_MESSAGE, "").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_listed_newest_first_as_clients_receive_them() {
    let etcd = Etcd::start().await;
    let nodes = cluster(&etcd, "/e2e/api/events", 2).await;
    events_are_listed(&nodes[0], &nodes[1]).await;
    for node in nodes {
        node.server.stop().await;
    }
    let alone = ApiNode::alone().await;
    events_are_listed(&alone, &alone).await;
    alone.server.stop().await;
}
