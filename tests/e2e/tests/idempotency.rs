//! A `request_id` makes an event happen once, whatever happens to the client or the server.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

use std::time::Duration;

use futures_util::future::join;
use game_realtime_e2e::{
    Client, ConnectOptions, Driver, Etcd, Library, Received, Server, Settings, Store, event, mint,
    shape,
};
use serde_json::{Value, json};
use tokio::time::sleep;

fn purchase(request_id: &str) -> Value {
    json!({"good_id": "sword", "count": 1, "request_id": request_id})
}

fn greeting(request_id: &str) -> Value {
    json!({"message": "hello", "request_id": request_id})
}

async fn player(driver: &Driver, server: &Server, user: &str) -> Client {
    driver.connect(&ConnectOptions::player(&server.url(), &mint(user))).await.unwrap()
}

async fn guest(driver: &Driver, server: &Server) -> Client {
    driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap()
}

/// The ids of the domain events a client has, once it has one more that it sends now.
async fn ids_after_a_last_event(client: &Client) -> Vec<String> {
    let ack = client.emit(event::BROADCAST, json!({"message": "the last"})).await;
    let last = shape::assert_committed(&ack, event::BROADCAST, false).to_owned();
    let id = |event: &Received| event.payload()["id"].as_str().map(str::to_owned);
    client.await_event(|event| id(event).as_deref() == Some(&last)).await;
    let mut ids: Vec<_> = client.events().iter().filter_map(id).collect();
    assert_eq!(ids.pop(), Some(last));
    ids
}

fn assert_repeats(repeat: &Value, first: &Value, event_type: &str) {
    shape::assert_committed(repeat, event_type, true);
    assert_eq!(repeat["event"], first["event"]);
}

#[tokio::test]
async fn a_repeated_request_is_answered_as_the_first_and_not_delivered_again() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(Library::JavaScript4);
    let alice = player(&driver, &server, "alice").await;
    let first = alice.emit(event::BUY_GOOD, purchase("1")).await;
    let id = shape::assert_committed(&first, event::BUY_GOOD, false);
    for _ in 0..3 {
        assert_repeats(&alice.emit(event::BUY_GOOD, purchase("1")).await, &first, event::BUY_GOOD);
    }
    // The order of the fields is not a difference.
    let reordered = json!({"request_id": "1", "count": 1, "good_id": "sword"});
    assert_repeats(&alice.emit(event::BUY_GOOD, reordered).await, &first, event::BUY_GOOD);
    assert_eq!(ids_after_a_last_event(&alice).await, [id]);
    server.stop().await;
}

#[tokio::test]
async fn repeats_sent_at_the_same_time_make_one_event() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(Library::JavaScript4);
    let phone = player(&driver, &server, "alice").await;
    let laptop = player(&driver, &server, "alice").await;
    let emit = |client, number: usize| async move {
        Client::emit(client, event::BUY_GOOD, purchase(&format!("{}", number / 4))).await
    };
    let clients = [&phone, &laptop];
    let sent = (0..40).map(|number| emit(clients[number % 2], number));
    let acks = futures_util::future::join_all(sent).await;
    for four in acks.chunks(4) {
        let duplicates = four.iter().filter(|ack| ack["duplicate"] == json!(true)).count();
        assert_eq!(duplicates, 3, "{four:?}");
        assert!(four.iter().all(|ack| ack["event"] == four[0]["event"]), "{four:?}");
    }
    assert_eq!(ids_after_a_last_event(&phone).await.len(), 10);
    server.stop().await;
}

#[tokio::test]
async fn the_same_request_id_with_another_payload_or_event_is_a_conflict() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(Library::JavaScript4);
    let alice = player(&driver, &server, "alice").await;
    let first = alice.emit(event::BUY_GOOD, purchase("1")).await;
    let id = shape::assert_committed(&first, event::BUY_GOOD, false);
    let other = json!({"good_id": "sword", "count": 2, "request_id": "1"});
    for (event_type, payload) in [(event::BUY_GOOD, other), (event::BROADCAST, greeting("1"))] {
        let ack = alice.emit(event_type, payload).await;
        shape::assert_refused(&ack, "idempotency_conflict");
    }
    assert_eq!(ids_after_a_last_event(&alice).await, [id]);
    server.stop().await;
}

#[tokio::test]
async fn a_request_id_is_a_users_own_on_all_their_connections() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(Library::JavaScript4);
    let phone = player(&driver, &server, "alice").await;
    let laptop = player(&driver, &server, "alice").await;
    let bob = player(&driver, &server, "bob").await;
    let first = phone.emit(event::BROADCAST, greeting("1")).await;
    shape::assert_committed(&first, event::BROADCAST, false);
    let repeat = laptop.emit(event::BROADCAST, greeting("1")).await;
    assert_repeats(&repeat, &first, event::BROADCAST);
    let bobs = bob.emit(event::BROADCAST, greeting("1")).await;
    shape::assert_committed(&bobs, event::BROADCAST, false);
    assert_eq!(ids_after_a_last_event(&phone).await.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_request_id_is_a_guest_connections_own() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(Library::JavaScript4);
    let (one, other) = (guest(&driver, &server).await, guest(&driver, &server).await);
    let first = one.emit(event::BROADCAST, greeting("1")).await;
    shape::assert_committed(&first, event::BROADCAST, false);
    assert_repeats(&one.emit(event::BROADCAST, greeting("1")).await, &first, event::BROADCAST);
    let others = other.emit(event::BROADCAST, greeting("1")).await;
    shape::assert_committed(&others, event::BROADCAST, false);
    assert_eq!(ids_after_a_last_event(&one).await.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn requests_and_events_survive_a_restart_and_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings::new(&Store::File(directory.path().join("events.redb")));
    let driver = Driver::start(Library::JavaScript4);

    let server = Server::start(&settings).await;
    let alice = player(&driver, &server, "alice").await;
    let beginning = alice.ready_text("cursor").to_owned();
    let first = alice.emit(event::BUY_GOOD, purchase("1")).await;
    shape::assert_committed(&first, event::BUY_GOOD, false);
    server.stop().await;

    let server = Server::start(&settings).await;
    let alice = player(&driver, &server, "alice").await;
    assert_repeats(&alice.emit(event::BUY_GOOD, purchase("1")).await, &first, event::BUY_GOOD);
    let second = alice.emit(event::BUY_GOOD, purchase("2")).await;
    shape::assert_committed(&second, event::BUY_GOOD, false);
    server.kill();

    let server = Server::start(&settings).await;
    let options = ConnectOptions::player(&server.url(), &mint("alice")).from_cursor(&beginning);
    let alice = driver.connect(&options).await.unwrap();
    shape::assert_ready(alice.ready(), alice.namespace(), Some("alice"), "recovered");
    let bought = alice.await_events(event::BUY_GOOD, 2).await;
    for (event, ack) in bought.iter().zip([&first, &second]) {
        assert_eq!(event.payload()["id"], ack["event"]["id"]);
        assert_eq!(event.payload()["cursor"], ack["event"]["cursor"]);
    }
    assert_repeats(&alice.emit(event::BUY_GOOD, purchase("2")).await, &second, event::BUY_GOOD);
    server.stop().await;
}

#[tokio::test]
async fn the_stock_clients_own_retries_make_one_event() {
    let etcd = Etcd::start().await;
    let store = Store::Etcd { endpoint: etcd.endpoint(), prefix: "/e2e/retries".to_owned() };
    // More than the outage: the first attempt is committed after the client has given it up.
    let server = Server::start(&Settings::new(&store).with("etcd.request_timeout", "20s")).await;
    let driver = Driver::start(Library::JavaScript4);
    let options = ConnectOptions::player(&server.url(), &mint("alice"))
        .with("options", json!({"retries": 20, "ackTimeout": 300}));
    let alice = driver.connect(&options).await.unwrap();
    etcd.freeze();
    let emitted = alice.try_emit(event::BUY_GOOD, vec![purchase("1")]);
    let thawed = async {
        sleep(Duration::from_millis(1500)).await;
        etcd.thaw();
    };
    let (answers, ()) = join(emitted, thawed).await;
    let answers = answers.unwrap();
    // With retries the first argument says whether all of them failed.
    assert_eq!(answers[0], Value::Null, "{answers:?}");
    assert_eq!(answers[1]["status"], "ok", "{answers:?}");
    let plain = player(&driver, &server, "alice").await;
    let repeat = plain.emit(event::BUY_GOOD, purchase("1")).await;
    assert_repeats(&repeat, &answers[1], event::BUY_GOOD);
    ids_after_a_last_event(&plain).await;
    let bought: Vec<_> =
        alice.events().into_iter().filter(|event| event.name == event::BUY_GOOD).collect();
    assert_eq!(bought.len(), 1, "{bought:?}");
    server.stop().await;
}
