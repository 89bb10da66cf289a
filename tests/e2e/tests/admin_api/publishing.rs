//! Events that operators send, as clients on other nodes get them.

use game_realtime_e2e::{
    Client, ConnectOptions, Driver, Etcd, Library, Received, event, mint, shape,
};
use serde_json::{Value, json};

use crate::nodes::{ApiNode, NO_CONNECTION, cluster};

/// An event as it is delivered: what was sent and answered, from whom.
fn assert_delivered(delivered: &Received, sent: &Value, answer: &Value, user: Option<&str>) {
    let payload = delivered.payload();
    let own = sent.as_object().unwrap().iter().filter(|(key, _)| *key != "request_id");
    let mut keys = vec!["id", "cursor", "created_at", "sender"];
    for (key, value) in own {
        assert_eq!(payload[key], *value, "{payload}");
        keys.push(key);
    }
    shape::assert_keys(payload, &keys);
    for key in ["id", "cursor", "created_at"] {
        assert_eq!(payload[key], answer["event"][key], "{payload}");
    }
    assert_eq!(payload["sender"], json!({"user_id": user, "connection_id": NO_CONNECTION}));
}

/// The one event that follows what the client has seen.
async fn next(client: &Client, seen: usize) -> Received {
    client.await_domain_events(seen + 1).await.swap_remove(seen)
}

async fn everything_arrives(here: &ApiNode, there: &ApiNode) {
    for library in [Library::JavaScript4, Library::JavaScript2, Library::Python] {
        let driver = Driver::start(library);
        let alice = driver.connect(&there.player("alice")).await.unwrap();
        let bob = driver.connect(&there.player("bob")).await.unwrap();
        let guest = driver.connect(&there.guest()).await.unwrap();

        let said = json!({"message": "to players"});
        let answer = here.api.publish(event::BROADCAST, "", &said).await;
        assert_eq!(answer.status, 200);
        shape::assert_committed(&answer.json, event::BROADCAST, false);
        for client in [&alice, &bob] {
            assert_delivered(&next(client, 0).await, &said, &answer.json, None);
        }

        let said = json!({"message": "to guests"});
        let answer = here.api.publish(event::BROADCAST, "namespace=guest", &said).await;
        shape::assert_committed(&answer.json, event::BROADCAST, false);
        assert_delivered(&next(&guest, 0).await, &said, &answer.json, None);

        let said = json!({"message": "from alice"});
        let whose = "user_id=alice&namespace=private";
        let answer = here.api.publish(event::BROADCAST, whose, &said).await;
        for client in [&alice, &bob] {
            assert_delivered(&next(client, 1).await, &said, &answer.json, Some("alice"));
        }

        let said = json!({"target_user_id": "bob", "text": "from the system"});
        let answer = here.api.publish(event::SEND_MESSAGE, "", &said).await;
        shape::assert_committed(&answer.json, event::SEND_MESSAGE, false);
        assert_eq!(answer.json["recipient"]["connections"], 1, "{}", answer.json);
        assert_delivered(&next(&bob, 2).await, &said, &answer.json, None);

        let said = json!({"target_user_id": "bob", "text": "from alice"});
        let answer = here.api.publish(event::SEND_MESSAGE, "user_id=alice", &said).await;
        assert_delivered(&next(&alice, 2).await, &said, &answer.json, Some("alice"));
        assert_delivered(&next(&bob, 3).await, &said, &answer.json, Some("alice"));

        let said = json!({"good_id": "sword", "count": 2});
        let answer = here.api.publish(event::BUY_GOOD, "user_id=bob", &said).await;
        shape::assert_committed(&answer.json, event::BUY_GOOD, false);
        assert_delivered(&next(&bob, 4).await, &said, &answer.json, Some("bob"));

        // One order: who has this has all before it, and there was nothing else.
        for (whose, clients) in
            [("", vec![(&alice, 4), (&bob, 6)]), ("namespace=guest", vec![(&guest, 2)])]
        {
            let answer =
                here.api.publish(event::BROADCAST, whose, &json!({"message": "end"})).await;
            for (client, count) in clients {
                let id = &answer.json["event"]["id"];
                client.await_event(|event| event.payload()["id"] == *id).await;
                assert_eq!(client.await_domain_events(count).await.len(), count);
            }
        }
        for client in [alice, bob, guest] {
            client.disconnect().await;
        }
        gone(here, "alice").await;
        gone(here, "bob").await;
    }
}

/// Waits until a player has no connection.
async fn gone(node: &ApiNode, user: &str) {
    let path = format!("/api/v1/connections?user_id={user}");
    while node.api.get(&path).await.json["connections"] != json!([]) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_publishes_stock_clients_of_another_get() {
    let etcd = Etcd::start().await;
    let nodes = cluster(&etcd, "/e2e/api/publish", 2).await;
    everything_arrives(&nodes[0], &nodes[1]).await;
    for node in nodes {
        node.server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_alone_publishes_its_stock_clients_get() {
    let node = ApiNode::alone().await;
    everything_arrives(&node, &node).await;
    node.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_counts_once_whichever_way_and_node_it_comes() {
    let etcd = Etcd::start().await;
    let nodes = cluster(&etcd, "/e2e/api/idempotency", 2).await;
    let driver = Driver::start(Library::JavaScript4);
    let alice = driver.connect(&nodes[1].player("alice")).await.unwrap();
    let publish = async |node: &ApiNode, whose: &str, message: &str| {
        let payload = json!({"message": message, "request_id": "r"});
        node.api.publish(event::BROADCAST, whose, &payload).await
    };

    // As the system: on one node, on the other, and with other words.
    let first = publish(&nodes[0], "", "hi").await;
    shape::assert_committed(&first.json, event::BROADCAST, false);
    let again = publish(&nodes[1], "namespace=private", "hi").await;
    assert_eq!(again.status, 200);
    shape::assert_committed(&again.json, event::BROADCAST, true);
    assert_eq!(again.json["event"], first.json["event"]);
    for (whose, message) in [("", "ho"), ("namespace=guest", "hi")] {
        let conflict = publish(&nodes[1], whose, message).await;
        assert_eq!(conflict.status, 409, "{whose} {message}");
        shape::assert_refused(&conflict.json, "idempotency_conflict");
    }

    // The player's own requests are others; who speaks for the player repeats them.
    let payload = json!({"message": "hi", "request_id": "r"});
    let own = alice.emit(event::BROADCAST, payload.clone()).await;
    shape::assert_committed(&own, event::BROADCAST, false);
    let spoken = publish(&nodes[0], "user_id=alice", "hi").await;
    shape::assert_committed(&spoken.json, event::BROADCAST, true);
    assert_eq!(spoken.json["event"], own["event"]);
    let conflict = publish(&nodes[0], "user_id=alice", "ho").await;
    shape::assert_refused(&conflict.json, "idempotency_conflict");
    let bobs = publish(&nodes[0], "user_id=bob", "hi").await;
    shape::assert_committed(&bobs.json, event::BROADCAST, false);
    // And the other way round.
    let spoken = json!({"good_id": "sword", "count": 1, "request_id": "purchase"});
    let first = nodes[0].api.publish(event::BUY_GOOD, "user_id=alice", &spoken).await;
    let repeated = alice.emit(event::BUY_GOOD, spoken).await;
    shape::assert_committed(&repeated, event::BUY_GOOD, true);
    assert_eq!(repeated["event"], first.json["event"]);

    // Nothing came twice.
    let last = publish(&nodes[0], "user_id=carol", "hi").await;
    alice.await_event(|event| event.payload()["id"] == last.json["event"]["id"]).await;
    assert_eq!(alice.await_domain_events(5).await.len(), 5);
    for node in nodes {
        node.server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_gets_what_operators_said_meanwhile() {
    let etcd = Etcd::start().await;
    let nodes = cluster(&etcd, "/e2e/api/recovery", 2).await;
    let driver = Driver::start(Library::JavaScript4);
    let bob = driver.connect(&nodes[0].player("bob")).await.unwrap();
    let cursor = bob.ready_text("cursor").to_owned();
    bob.disconnect().await;
    let mut said = Vec::new();
    for (event, whose, payload) in [
        (event::BROADCAST, "", json!({"message": "one"})),
        (event::BROADCAST, "namespace=guest", json!({"message": "not for players"})),
        (event::SEND_MESSAGE, "", json!({"target_user_id": "bob", "text": "two"})),
        (event::SEND_MESSAGE, "", json!({"target_user_id": "alice", "text": "not for bob"})),
        (event::SEND_MESSAGE, "user_id=bob", json!({"target_user_id": "alice", "text": "three"})),
        (event::BUY_GOOD, "user_id=bob", json!({"good_id": "sword", "count": 4})),
    ] {
        let answer = nodes[0].api.publish(event, whose, &payload).await;
        if !payload.to_string().contains("not for") {
            said.push(answer.json["event"]["id"].clone());
        }
    }
    let options = ConnectOptions::player(&nodes[1].server.url(), &mint("bob"));
    let back = driver.connect(&options.from_cursor(&cursor)).await.unwrap();
    assert_eq!(back.ready()["recovery"], json!({"status": "recovered", "replayed": 4}));
    let got = back.await_domain_events(4).await;
    let got: Vec<_> = got.iter().map(|event| event.payload()["id"].clone()).collect();
    assert_eq!(got, said);
    for node in nodes {
        node.server.stop().await;
    }
}
