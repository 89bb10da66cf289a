//! Coming back with a cursor: exactly what was missed, or an honest gap.

use game_realtime_e2e::{
    Client, ConnectOptions, Driver, Form, Library, Namespace, Received, Server, Settings, Store,
    event, mint, shape,
};
use serde_json::{Value, json};

const LIBRARIES: [Library; 4] =
    [Library::JavaScript4, Library::JavaScript3, Library::JavaScript2, Library::Python];

async fn say(client: &Client, message: &str) -> Value {
    let ack = client.emit(event::BROADCAST, json!({"message": message})).await;
    shape::assert_committed(&ack, event::BROADCAST, false);
    ack
}

fn messages(events: &[Received]) -> Vec<&str> {
    events.iter().filter_map(|event| event.payload()["message"].as_str()).collect()
}

#[tokio::test]
async fn a_returning_player_gets_exactly_what_was_missed_before_anything_live() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let speakers = Driver::start(Library::JavaScript4);
    let bob = ConnectOptions::player(&server.url(), &mint("bob"));
    let bob = speakers.connect(&bob).await.unwrap();
    for library in LIBRARIES {
        let driver = Driver::start(library);
        for form in [Form::Path, Form::Namespace] {
            let alice = ConnectOptions::player(&server.url(), &mint("alice")).by(form);
            let before = driver.connect(&alice).await.unwrap();
            say(&bob, "seen").await;
            let seen = before.await_events(event::BROADCAST, 1).await;
            let cursor = shape::text(seen[0].payload(), "cursor").to_owned();
            before.close_transport().await;
            before.await_lifecycle("disconnect").await;

            say(&bob, "missed 1").await;
            let to_alice = json!({"target_user_id": "alice", "text": "missed 2"});
            let ack = bob.emit(event::SEND_MESSAGE, to_alice).await;
            shape::assert_committed(&ack, event::SEND_MESSAGE, false);
            let to_carol = json!({"target_user_id": "carol", "text": "not for alice"});
            bob.emit(event::SEND_MESSAGE, to_carol).await;
            bob.emit(event::BUY_GOOD, json!({"good_id": "g", "count": 1})).await;
            say(&bob, "missed 3").await;

            let again = driver.connect(&alice.from_cursor(&cursor)).await.unwrap();
            let case = format!("{library:?} {form:?}");
            shape::assert_ready(again.ready(), Namespace::Private, Some("alice"), "recovered");
            assert_eq!(again.ready()["recovery"]["replayed"], 3, "{case}");
            assert_eq!(again.ready_text("cursor"), cursor, "{case}");
            assert_ne!(again.ready()["connection_id"], before.ready()["connection_id"], "{case}");
            say(&bob, "live").await;
            again.await_events(event::BROADCAST, 3).await;
            let events = again.events();
            let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
            let (broadcast, message) = (event::BROADCAST, event::SEND_MESSAGE);
            assert_eq!(names, [event::READY, broadcast, message, broadcast, broadcast], "{case}");
            assert_eq!(messages(&events), ["missed 1", "missed 3", "live"], "{case}");
            again.disconnect().await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_cursor_of_ready_is_good_to_come_back_with() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(Library::JavaScript4);
    let alice = ConnectOptions::player(&server.url(), &mint("alice"));
    let before = driver.connect(&alice).await.unwrap();
    let cursor = before.ready_text("cursor").to_owned();
    say(&before, "one").await;
    say(&before, "two").await;
    let mut options = alice.from_cursor(&cursor);
    for missed in [2, 2] {
        // Cut off before it saw anything, it comes back with the same cursor again.
        let again = driver.connect(&options).await.unwrap();
        assert_eq!(again.ready()["recovery"]["replayed"], missed);
        assert_eq!(messages(&again.await_events(event::BROADCAST, 2).await), ["one", "two"]);
        options = options.from_cursor(again.ready_text("cursor"));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_returning_guest_gets_the_broadcasts_it_missed() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(Library::JavaScript4);
    let guest = ConnectOptions::guest(&server.url());
    let (before, other) =
        (driver.connect(&guest).await.unwrap(), driver.connect(&guest).await.unwrap());
    let to_alice = json!({"target_user_id": "alice", "text": "the guest's own"});
    let ack = before.emit(event::SEND_MESSAGE, to_alice).await;
    shape::assert_committed(&ack, event::SEND_MESSAGE, false);
    let cursor = before.ready_text("cursor").to_owned();
    before.disconnect().await;
    say(&other, "missed").await;
    let again = driver.connect(&guest.from_cursor(&cursor)).await.unwrap();
    shape::assert_ready(again.ready(), Namespace::Guest, None, "recovered");
    assert_eq!(again.ready()["recovery"]["replayed"], 1, "a message of a connection that is gone");
    assert_eq!(messages(&again.await_events(event::BROADCAST, 1).await), ["missed"]);
    server.stop().await;
}

#[tokio::test]
async fn a_cursor_that_proves_nothing_is_a_gap() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let elsewhere = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(Library::JavaScript4);
    let guest = ConnectOptions::guest(&server.url());
    let here = driver.connect(&guest).await.unwrap();
    say(&here, "before").await;
    let stranger = driver.connect(&ConnectOptions::guest(&elsewhere.url())).await.unwrap();
    let foreign = stranger.ready_text("cursor").to_owned();
    let own = here.ready_text("cursor").to_owned();
    let epoch = own.split(':').next().unwrap();
    let future = format!("{epoch}:9007199254740993.0");
    let malformed = format!("{own}x");
    for cursor in ["", "garbage", ":::", &malformed, &foreign, &future, &"x".repeat(5000)] {
        let again = driver.connect(&guest.clone().from_cursor(cursor)).await;
        let again = again.unwrap_or_else(|refused| panic!("{cursor:?}: {refused:?}"));
        shape::assert_ready(again.ready(), Namespace::Guest, None, "gap");
        say(&again, "after").await;
        let heard = again.await_events(event::BROADCAST, 1).await;
        assert_eq!(messages(&heard), ["after"], "nothing is replayed");
        again.disconnect().await;
    }
    let no_text = guest.with("auth", json!({"cursor": 7}));
    let again = driver.connect(&no_text).await.unwrap();
    shape::assert_ready(again.ready(), Namespace::Guest, None, "gap");
    server.stop().await;
    elsewhere.stop().await;
}

#[tokio::test]
async fn a_client_that_reconnects_by_itself_misses_nothing_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings::new(&Store::File(directory.path().join("events.redb")));
    let server = Server::start(&settings).await;
    let driver = Driver::start(Library::JavaScript4);
    let options = ConnectOptions::guest(&server.url())
        .reconnecting()
        .with("options", json!({"reconnectionDelay": 50, "reconnectionDelayMax": 200}));
    let listener = driver.connect(&options).await.unwrap();
    let speaker = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
    say(&speaker, "before").await;
    listener.await_events(event::BROADCAST, 1).await;
    server.stop().await;

    let server = Server::start(&settings).await;
    let speaker = driver.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
    say(&speaker, "after").await;
    let heard = listener.await_events(event::BROADCAST, 2).await;
    assert_eq!(messages(&heard), ["before", "after"]);
    let ready = listener.await_events(event::READY, 2).await;
    shape::assert_ready(ready[1].payload(), Namespace::Guest, None, "recovered");
    server.stop().await;
}

#[tokio::test]
async fn a_polling_python_client_gets_all_of_a_long_replay() {
    const MISSED: usize = 100;
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let speakers = Driver::start(Library::JavaScript4);
    let speaker = speakers.connect(&ConnectOptions::guest(&server.url())).await.unwrap();
    let cursor = speaker.ready_text("cursor").to_owned();
    for number in 0..MISSED {
        say(&speaker, &number.to_string()).await;
    }
    let driver = Driver::start(Library::Python);
    let options = ConnectOptions::guest(&server.url()).over(&["polling"]).from_cursor(&cursor);
    let client = driver.connect(&options).await.unwrap();
    assert_eq!(client.ready()["recovery"]["replayed"], MISSED);
    client.await_events(event::BROADCAST, MISSED).await;
    server.stop().await;
}
