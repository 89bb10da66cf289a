//! Bad payloads: each gets exactly one answer that names the fault, and the connection lives on.
#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests may fail")]

use futures_util::future::join_all;
use game_realtime_e2e::{
    Client, ConnectOptions, Driver, Form, Library, Server, Settings, Store, event, mint, shape,
};
use serde_json::{Map, Value, json};

/// Longer than any limit of the default configuration.
const TOO_LONG: usize = 16_385;

/// Something no client should send: the event, its arguments and the path at fault, if there is one.
struct Bad {
    event: &'static str,
    args: Vec<Value>,
    path: Option<&'static str>,
}

fn good(event_type: &str) -> Map<String, Value> {
    let payload = match event_type {
        event::BROADCAST => json!({"message": "m"}),
        event::SEND_MESSAGE => json!({"target_user_id": "bob", "text": "t"}),
        _ => json!({"good_id": "g", "count": 1}),
    };
    payload.as_object().cloned().unwrap()
}

fn binary() -> Value {
    json!({"$binary": "AAEC"})
}

/// Values of no use in any text field.
fn not_a_text() -> Vec<Value> {
    vec![json!(null), json!(7), json!(true), json!([]), json!({}), json!(["m"]), binary()]
}

fn bad_fields() -> Vec<(&'static str, &'static str, Vec<Value>)> {
    let texts = |more: Vec<Value>| [not_a_text(), more].concat();
    let long = |length| json!("x".repeat(length));
    let counts = vec![
        json!(null),
        json!(0),
        json!(-1),
        json!(1.5),
        json!("3"),
        json!(1_u64 << 60),
        json!([1]),
        json!({}),
        json!(true),
    ];
    let users = vec![json!(""), long(129), json!("a\u{0}b"), json!("a\nb"), json!("\u{7f}")];
    vec![
        (event::BROADCAST, "message", texts(vec![json!(""), long(TOO_LONG)])),
        (event::SEND_MESSAGE, "target_user_id", texts(users)),
        (event::SEND_MESSAGE, "text", texts(vec![json!(""), long(TOO_LONG)])),
        (event::BUY_GOOD, "good_id", texts(vec![json!(""), long(129)])),
        (event::BUY_GOOD, "count", counts),
    ]
}

fn bad_payloads() -> Vec<Bad> {
    let mut all = Vec::new();
    for (event_type, field, values) in bad_fields() {
        let mut missing = good(event_type);
        missing.remove(field);
        all.push(Bad { event: event_type, args: vec![json!(missing)], path: Some(field) });
        for value in values {
            let mut payload = good(event_type);
            payload.insert(field.to_owned(), value);
            all.push(Bad { event: event_type, args: vec![json!(payload)], path: Some(field) });
        }
    }
    for event_type in [event::BROADCAST, event::SEND_MESSAGE, event::BUY_GOOD] {
        for id in [json!(""), json!("x".repeat(65)), json!(7), json!({}), json!(["r"])] {
            let mut payload = good(event_type);
            payload.insert("request_id".to_owned(), id);
            let path = Some("request_id");
            all.push(Bad { event: event_type, args: vec![json!(payload)], path });
        }
        let mut unknown = good(event_type);
        unknown.insert("surplus".to_owned(), json!(1));
        all.push(Bad { event: event_type, args: vec![json!(unknown)], path: Some("surplus") });
        let payload = json!(good(event_type));
        for args in [
            vec![],
            vec![payload.clone(), payload.clone()],
            vec![json!([payload])],
            vec![json!([])],
            vec![json!(payload.to_string())],
            vec![json!("")],
            vec![json!(7)],
            vec![json!(true)],
            vec![json!(null)],
            vec![binary()],
            vec![payload, binary()],
        ] {
            all.push(Bad { event: event_type, args, path: None });
        }
    }
    all
}

/// A payload of a reasonable length in a failure's message.
fn short(args: &[Value]) -> String {
    json!(args).to_string().chars().take(100).collect()
}

fn assert_names(error: &Value, bad: &Bad) {
    for field in error["fields"].as_array().unwrap() {
        // Whose client is not written in Rust is not told of its types.
        let message = field["message"].as_str().unwrap();
        for word in ["i64", "struct", "enum", "expected", "invalid", "column"] {
            assert!(!message.contains(word), "{} {}: {message}", bad.event, short(&bad.args));
        }
    }
    if let Some(path) = bad.path {
        assert_eq!(shape::paths(error), [path], "{} {}: {error}", bad.event, short(&bad.args));
    }
}

async fn is_answered(client: &Client, bad: &Bad) {
    let answers = client.try_emit(bad.event, bad.args.clone()).await;
    let answers = answers.unwrap_or_else(|error| panic!("{}: {error}", short(&bad.args)));
    assert_eq!(answers.len(), 1, "{} {}: {answers:?}", bad.event, short(&bad.args));
    assert_names(shape::assert_refused(&answers[0], "invalid_payload"), bad);
}

async fn lives_on(client: &Client) {
    let payload = json!({"message": "still here"});
    let ack = client.emit(event::BROADCAST, payload).await;
    let id = shape::assert_committed(&ack, event::BROADCAST, false);
    let arrived = |received: &game_realtime_e2e::Received| {
        received.name == event::BROADCAST && received.payload()["id"] == id
    };
    client.await_event(arrived).await;
    let events = client.events();
    let committed =
        events.iter().filter(|event| !matches!(&*event.name, event::READY | event::ERROR));
    assert_eq!(committed.count(), 1, "nothing else was committed");
}

async fn every_bad_payload(library: Library, form: Form) {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(library);
    let options = ConnectOptions::player(&server.url(), &mint("alice")).by(form);
    let bad = bad_payloads();

    let asking = driver.connect(&options).await.unwrap();
    join_all(bad.iter().map(|bad| is_answered(&asking, bad))).await;
    lives_on(&asking).await;
    asking.disconnect().await;
    let unasked = asking.events().iter().filter(|event| event.name == event::ERROR).count();
    assert_eq!(unasked, 0, "one answer, not two");

    let silent = driver.connect(&options).await.unwrap();
    for (number, bad) in bad.iter().enumerate() {
        silent.emit_silently(bad.event, bad.args.clone()).await;
        let errors = silent.await_events(event::ERROR, number + 1).await;
        let error = errors.last().unwrap().payload();
        shape::assert_error_event(error, "invalid_payload", bad.event);
        assert_names(error, bad);
    }
    lives_on(&silent).await;
    let errors = silent.await_events(event::ERROR, bad.len()).await;
    assert_eq!(errors.len(), bad.len(), "one answer each");
    server.stop().await;
}

#[tokio::test]
async fn a_bad_payload_gets_one_answer_that_names_the_fault() {
    every_bad_payload(Library::JavaScript4, Form::Namespace).await;
}

#[tokio::test]
async fn a_bad_payload_of_an_old_client_gets_one_answer_that_names_the_fault() {
    every_bad_payload(Library::JavaScript2, Form::Path).await;
}

#[tokio::test]
async fn the_longest_allowed_values_are_accepted() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let driver = Driver::start(Library::JavaScript4);
    let options = ConnectOptions::player(&server.url(), &mint("alice"));
    let client = driver.connect(&options).await.unwrap();
    let wide = |length: usize| "é".repeat(length);
    for (event_type, payload) in [
        (event::BROADCAST, json!({"message": wide(TOO_LONG - 1), "request_id": wide(64)})),
        (event::SEND_MESSAGE, json!({"target_user_id": wide(128), "text": wide(TOO_LONG - 1)})),
        (event::BUY_GOOD, json!({"good_id": wide(128), "count": (1_u64 << 53) - 1})),
    ] {
        let ack = client.emit(event_type, payload.clone()).await;
        shape::assert_committed(&ack, event_type, false);
        let delivered = client.await_events(event_type, 1).await;
        shape::assert_delivered(delivered[0].payload(), &payload, &ack, &client);
    }
    server.stop().await;
}
