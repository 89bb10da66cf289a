//! Three nodes on a real etcd, sixty clients of every kind, everything at once; then the validator.
#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests may fail")]

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{
    Client, ConnectOptions, Driver, Etcd, Form, Library, Namespace, Received, Server, Settings,
    Store, event, mint, shape,
    validator::{Acked, ConnectionLog, validate},
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

const NODES: usize = 3;
const CLIENTS: usize = 60;
const EVENTS_PER_CLIENT: usize = 50;
/// Each has several connections, on several nodes.
const USERS: usize = 15;
/// For all events to be acknowledged and delivered, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

const LIBRARIES: [Library; 4] =
    [Library::JavaScript4, Library::JavaScript3, Library::JavaScript2, Library::Python];

async fn start_nodes(etcd: &Etcd, prefix: &str) -> Vec<Server> {
    let store = Store::Etcd { endpoint: etcd.endpoint(), prefix: prefix.to_owned() };
    let settings: Vec<_> = (0..NODES).map(|_| Settings::new(&store)).collect();
    join_all(settings.iter().map(Server::start)).await
}

fn user(number: usize) -> String {
    format!("player {}", number % USERS)
}

/// The library of client number `number`.
fn library_of(number: usize) -> usize {
    number / NODES % LIBRARIES.len()
}

/// The way client number `number` connects: all kinds, evenly mixed.
fn options(url: &str, number: usize) -> ConnectOptions {
    let options = match number % 5 {
        0 | 1 => ConnectOptions::guest(url),
        _ => ConnectOptions::player(url, &mint(&user(number))),
    };
    let form = if (number / 5).is_multiple_of(2) { Form::Path } else { Form::Namespace };
    let options = options.by(form);
    match number / 7 % 3 {
        0 => options.over(&["websocket"]),
        1 => options.over(&["polling"]),
        _ => options, // polling, then the upgrade
    }
}

/// What client number `number` sends as its event number `turn`.
fn event_of(client: &Client, number: usize, turn: usize) -> (&'static str, Value) {
    let request_id = format!("{number}-{turn}");
    let kinds = if client.namespace() == Namespace::Private { 3 } else { 2 };
    match (number + turn) % kinds {
        0 => (event::BROADCAST, json!({"message": format!("{number}: {turn}")})),
        1 => {
            let target = user(number * 7 + turn);
            let text = format!("{number}: {turn}");
            let payload = json!({"target_user_id": target, "text": text, "request_id": request_id});
            (event::SEND_MESSAGE, payload)
        }
        _ => (event::BUY_GOOD, json!({"good_id": "sword", "count": turn + 1})),
    }
}

/// Sends all events of a client at once; what was acknowledged, in the order sent.
async fn send_all(client: &Client, number: usize) -> Vec<Acked> {
    let sent = (0..EVENTS_PER_CLIENT).map(|turn| async move {
        let (event_type, payload) = event_of(client, number, turn);
        let ack = client.emit(event_type, payload.clone()).await;
        shape::assert_committed(&ack, event_type, false);
        Acked::parse(client, &payload, &ack).unwrap()
    });
    join_all(sent).await
}

/// One more broadcast in each namespace. There is one order: who has it has all before it.
async fn finish(clients: &[Client]) -> Vec<Acked> {
    let mut last = Vec::new();
    for namespace in [Namespace::Private, Namespace::Guest] {
        let of_namespace = || clients.iter().filter(|client| client.namespace() == namespace);
        let sender = of_namespace().next().unwrap();
        let payload = json!({"message": "the last"});
        let ack = sender.emit(event::BROADCAST, payload.clone()).await;
        let id = shape::assert_committed(&ack, event::BROADCAST, false);
        let is_last = |received: &Received| {
            received.name == event::BROADCAST && received.payload()["id"] == id
        };
        join_all(of_namespace().map(|client| client.await_event(is_last))).await;
        last.extend(Acked::parse(sender, &payload, &ack));
    }
    last
}

async fn connect_all(drivers: &[Driver], nodes: &[Server]) -> Vec<Client> {
    let connecting = (0..CLIENTS).map(|number| async move {
        // Neighbours in number, who share a user or a namespace, are on different nodes.
        let options = options(&nodes[number % NODES].url(), number);
        let client = drivers[library_of(number)].connect(&options).await;
        client.unwrap_or_else(|refused| panic!("client {number}: {refused:?}"))
    });
    join_all(connecting).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_clients_on_three_nodes_see_one_order_without_a_hole() {
    let etcd = Etcd::start().await;
    let nodes = start_nodes(&etcd, "/e2e/cluster").await;
    let drivers = LIBRARIES.map(Driver::start);
    let clients = connect_all(&drivers, &nodes).await;

    let deadline = Instant::now() + DEADLINE;
    let sending = clients.iter().enumerate().map(|(number, client)| send_all(client, number));
    let acked = timeout_at(deadline, join_all(sending)).await.expect("every event is answered");
    let last = timeout_at(deadline, finish(&clients)).await.expect("every event is delivered");

    let acked: Vec<Acked> = acked.into_iter().flatten().chain(last).collect();
    let logs: Vec<_> = clients.iter().flat_map(|client| ConnectionLog::of(client, true)).collect();
    let report = validate(&logs, &acked, &[]);
    report.assert_clean();
    assert_eq!(report.connections, CLIENTS, "nobody was cut off");
    assert_eq!(report.events, CLIENTS * EVENTS_PER_CLIENT + 2, "nothing but what was sent");
    eprintln!("{report}");
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_node_dies_its_clients_come_back_elsewhere_and_miss_nothing() {
    const EVENTS: usize = 300;
    let etcd = Etcd::start().await;
    let mut nodes = start_nodes(&etcd, "/e2e/crash").await;
    let driver = Driver::start(Library::JavaScript4);
    let dying = nodes.pop().unwrap();
    let player = |server: &Server, name: &str| ConnectOptions::player(&server.url(), &mint(name));
    let mut on_dying = Vec::new();
    for number in 0..6 {
        let options = player(&dying, &format!("orphan {number}"));
        on_dying.push(driver.connect(&options).await.unwrap());
    }
    let speaker = driver.connect(&player(&nodes[0], "speaker")).await.unwrap();

    let speak = async {
        let mut acked = Vec::new();
        for number in 0..EVENTS {
            let payload = json!({"message": number.to_string()});
            let ack = speaker.emit(event::BROADCAST, payload.clone()).await;
            acked.extend(Acked::parse(&speaker, &payload, &ack));
        }
        acked
    };
    let crash = async {
        on_dying[0].await_events(event::BROADCAST, EVENTS / 3).await;
        dying.kill();
        let mut back = Vec::new();
        for (number, client) in on_dying.iter().enumerate() {
            client.await_lifecycle("disconnect").await;
            let seen = client.events();
            let cursor = shape::text(seen.last().unwrap().payload(), "cursor").to_owned();
            let options = player(&nodes[number % nodes.len()], &format!("orphan {number}"));
            back.push(driver.connect(&options.from_cursor(&cursor)).await.unwrap());
        }
        back
    };
    let (acked, back) = timeout_at(Instant::now() + DEADLINE, async { tokio::join!(speak, crash) })
        .await
        .expect("the survivors go on");
    assert_eq!(acked.len(), EVENTS, "the speaker's node did not die");
    for client in &back {
        shape::assert_ready(
            client.ready(),
            Namespace::Private,
            client.ready()["user_id"].as_str(),
            "recovered",
        );
        let last = &acked.last().unwrap().event.id;
        client.await_event(|event| event.payload()["id"] == **last).await;
    }
    let logs: Vec<_> = on_dying
        .iter()
        .flat_map(|client| ConnectionLog::of(client, false))
        .chain(back.iter().flat_map(|client| ConnectionLog::of(client, true)))
        .collect();
    let report = validate(&logs, &acked, &[]);
    report.assert_clean();
    // What a client saw before and after is together all there was, nothing twice.
    for (before, after) in on_dying.iter().zip(&back) {
        let count = |client: &Client| client.events().len() - 1;
        assert_eq!(count(before) + count(after), EVENTS);
    }
    for node in nodes {
        node.stop().await;
    }
}
