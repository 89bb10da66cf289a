//! Every client library, both ways in, both namespaces, every transport: the whole contract once.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "tests may fail")]

use futures_util::future::join_all;
use game_realtime_e2e::{
    Client, ConnectOptions, Driver, Form, Library, Namespace, Server, Settings, Store, event, mint,
    shape,
};
use serde_json::{Value, json};

/// How a client gets from here to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    WebSocket,
    Polling,
    /// The library's default: polling first, then the upgrade.
    Upgrade,
}

#[derive(Debug, Clone, Copy)]
struct Combination {
    form: Form,
    namespace: Namespace,
    transport: Transport,
    trailing_slash: bool,
}

fn combinations(library: Library) -> Vec<Combination> {
    let mut all = Vec::new();
    for namespace in [Namespace::Private, Namespace::Guest] {
        for transport in [Transport::WebSocket, Transport::Polling, Transport::Upgrade] {
            for form in [Form::Path, Form::Namespace] {
                all.push(Combination { form, namespace, transport, trailing_slash: true });
            }
            // All libraries add a slash to the path; this one can be told not to.
            if library == Library::JavaScript4 {
                let form = Form::Path;
                all.push(Combination { form, namespace, transport, trailing_slash: false });
            }
        }
    }
    all
}

async fn play(driver: &Driver, url: &str, user: &str, combination: Combination) {
    let Combination { form, namespace, transport, trailing_slash } = combination;
    let mut options = match namespace {
        Namespace::Private => ConnectOptions::player(url, &mint(user)),
        Namespace::Guest => ConnectOptions::guest(url),
    }
    .by(form);
    match transport {
        Transport::WebSocket => options = options.over(&["websocket"]),
        Transport::Polling => options = options.over(&["polling"]),
        Transport::Upgrade => {}
    }
    if !trailing_slash {
        options = options.with("options", json!({"addTrailingSlash": false}));
    }
    let refused = |refused| panic!("{combination:?}: {refused:?}");
    let client = driver.connect(&options).await.unwrap_or_else(refused);
    let user = (namespace == Namespace::Private).then_some(user);
    shape::assert_ready(client.ready(), namespace, user, "fresh");
    assert_eq!(client.events()[0].name, event::READY, "{combination:?}");
    if transport == Transport::Upgrade {
        client.wait_upgrade().await;
    }
    let expected = if transport == Transport::Polling { "polling" } else { "websocket" };
    assert_eq!(client.transport().await, expected, "{combination:?}");

    send(&client, event::BROADCAST, json!({"message": format!("{combination:?}")})).await;
    let target = user.unwrap_or("nobody is called like that");
    let message = json!({"target_user_id": target, "text": "hello", "request_id": "1"});
    let ack = send(&client, event::SEND_MESSAGE, message).await;
    let connections = usize::from(user.is_some());
    assert_eq!(ack["recipient"]["connections"], json!(connections), "{combination:?}");
    let purchase = json!({"good_id": "sword", "count": 3});
    if namespace == Namespace::Private {
        send(&client, event::BUY_GOOD, purchase).await;
    } else {
        shape::assert_refused(&client.emit(event::BUY_GOOD, purchase).await, "forbidden");
    }
    client.disconnect().await;
}

/// Sends an event, and sees it committed and delivered to its sender, all as the contract says.
async fn send(client: &Client, event_type: &str, payload: Value) -> Value {
    let ack = client.emit(event_type, payload.clone()).await;
    let id = shape::assert_committed(&ack, event_type, false);
    let delivered = client.await_event(|event| is(event, event_type, id)).await;
    shape::assert_delivered(delivered.payload(), &payload, &ack, client);
    ack
}

fn is(received: &game_realtime_e2e::Received, event_type: &str, id: &str) -> bool {
    received.name == event_type && received.payload()["id"] == id
}

async fn every_combination(library: Library) {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(library);
    let url = server.url();
    let all = combinations(library).into_iter().enumerate().map(|(number, combination)| {
        let (driver, url) = (&driver, &url);
        async move { play(driver, url, &format!("player {number}"), combination).await }
    });
    join_all(all).await;
    server.stop().await;
}

#[tokio::test]
async fn javascript_4_clients_get_the_whole_contract_whichever_way_they_come() {
    every_combination(Library::JavaScript4).await;
}

#[tokio::test]
async fn javascript_3_clients_get_the_whole_contract_whichever_way_they_come() {
    every_combination(Library::JavaScript3).await;
}

#[tokio::test]
async fn javascript_2_clients_get_the_whole_contract_whichever_way_they_come() {
    every_combination(Library::JavaScript2).await;
}

#[tokio::test]
async fn python_clients_get_the_whole_contract_whichever_way_they_come() {
    every_combination(Library::Python).await;
}
