//! What JSON can spell in several ways, or stock clients send by mistake: names with escapes, numbers with a
//! fraction of zero, halves of characters. Each gets its one answer, and the connection lives on.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{
    Client, ConnectOptions, Driver, Library, Server, Settings, Store, event, mint,
    raw::{GUEST, PRIVATE, Raw, frame, opcode},
    shape,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(10);
const LIBRARIES: [Library; 4] =
    [Library::JavaScript2, Library::JavaScript3, Library::JavaScript4, Library::Python];

/// Names that libraries write with escapes; some write all that is not ASCII so.
const NAMES: [&str; 12] = [
    "a\0b",
    "tab\there",
    "line\nbreak",
    "\r\u{8}\u{c}",
    "\"quoted\"",
    "back\\slash",
    "\\",
    "\"",
    "\u{7f}\u{1f}",
    "café",
    "🎮",
    "plain",
];

/// A player over each of a library's transports.
async fn players(driver: &Driver, server: &Server) -> Vec<Client> {
    let connect = async |(number, transports): (usize, &[&str])| {
        let token = mint(&format!("player {number}"));
        let options = ConnectOptions::player(&server.url(), &token);
        let options = if transports.is_empty() { options } else { options.over(transports) };
        let client = driver.connect(&options).await.unwrap();
        if transports.is_empty() {
            client.wait_upgrade().await;
        }
        client
    };
    let all: [&[&str]; 3] = [&["websocket"], &["polling"], &[]];
    join_all(all.into_iter().enumerate().map(connect)).await
}

async fn lives_on(client: &Client) {
    let ack = client.emit(event::BROADCAST, json!({"message": "still here"})).await;
    shape::assert_committed(&ack, event::BROADCAST, false);
    assert_eq!(client.count_lifecycle("disconnect"), 0);
}

/// Does something as each player of each library.
async fn as_everybody(act: impl AsyncFn(&Client)) {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    for library in LIBRARIES {
        let driver = Driver::start(library);
        let clients = players(&driver, &server).await;
        join_all(clients.iter().map(async |client| {
            act(client).await;
            lives_on(client).await;
        }))
        .await;
    }
    server.stop().await;
}

#[tokio::test]
async fn an_event_is_unknown_whatever_is_in_its_name_and_the_connection_lives() {
    as_everybody(async |client| {
        let ask = async |name| client.try_emit(name, vec![json!({"message": "m"})]).await;
        for (name, answers) in NAMES.into_iter().zip(join_all(NAMES.map(ask)).await) {
            let answers = answers.unwrap_or_else(|error| panic!("{name:?}: {error}"));
            assert_eq!(answers.len(), 1, "{name:?}: {answers:?}");
            shape::assert_refused(&answers[0], "forbidden");
        }
        for (number, name) in NAMES.into_iter().enumerate() {
            client.emit_silently(name, vec![]).await;
            let errors = client.await_events(event::ERROR, number + 1).await;
            shape::assert_error_event(errors[number].payload(), "forbidden", name);
        }
    })
    .await;
}

#[tokio::test]
async fn half_of_a_character_is_the_fault_of_its_field() {
    let half = || json!({"$utf16": [0x61, 0xd83d]});
    let cases = [
        (event::BROADCAST, "message", json!({"message": half()})),
        (event::BROADCAST, "request_id", json!({"message": "m", "request_id": half()})),
        (event::SEND_MESSAGE, "text", json!({"target_user_id": "bob", "text": half()})),
        (event::SEND_MESSAGE, "target_user_id", json!({"target_user_id": half(), "text": "t"})),
        (event::BUY_GOOD, "good_id", json!({"good_id": half(), "count": 1})),
    ];
    as_everybody(async |client| {
        for (name, field, payload) in &cases {
            let answer = client.emit(name, payload.clone()).await;
            let error = shape::assert_refused(&answer, "invalid_payload");
            assert_eq!(shape::paths(error), [*field], "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_count_is_a_number_however_the_engine_writes_numbers() {
    as_everybody(async |client| {
        // Python writes them as they are; JavaScript has one kind of number.
        for (count, integer) in [(json!(1.0), 1), (json!(1e16 / 1e14), 100)] {
            let ack = client.emit(event::BUY_GOOD, json!({"good_id": "g", "count": count})).await;
            let id = shape::assert_committed(&ack, event::BUY_GOOD, false);
            let bought = client.await_event(|it| it.payload()["id"] == id).await;
            assert_eq!(bought.payload()["count"], json!(integer));
        }
        for count in [json!(0.5), json!(0), json!(-1.0), json!("1"), json!(1e300), Value::Null] {
            let answer =
                client.emit(event::BUY_GOOD, json!({"good_id": "g", "count": count})).await;
            let error = shape::assert_refused(&answer, "invalid_payload");
            assert_eq!(shape::paths(error), ["count"], "{error}");
        }
    })
    .await;
}

/// Writes packets at once, or one after the other in fragments of a given size with pings in between.
async fn write(raw: &mut Raw, packet: &str, fragment: usize) {
    let fragments: Vec<_> = packet.as_bytes().chunks(fragment).collect();
    for (number, payload) in fragments.iter().enumerate() {
        let first = if number == 0 { opcode::TEXT_BEGINS } else { 0x00 };
        let last = if number + 1 == fragments.len() { 0x80 } else { 0 };
        raw.send(&frame(first | last, payload)).await.unwrap();
        if last == 0 {
            raw.send(&frame(0x89, b"ping")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_name_or_a_number_is_read_however_it_is_written_and_cut() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let mut raw = Raw::websocket(server.port(), PRIVATE).await.unwrap();
    raw.join(&format!("40{}", json!({"token": mint("alice")}))).await.unwrap();
    for fragment in [usize::MAX, 1, 7, 30] {
        for (packet, answer) in [
            (
                r#"421["\u0063ore.game.state.bro\u0061dcast",{"message":"m"}]"#,
                r#"431[{"status":"ok""#,
            ),
            (
                r#"422["core.game.state.buy_good",{"good_id":"g","count":1E+2}]"#,
                r#"432[{"status":"ok""#,
            ),
            (
                r#"423["core.game.state.buy_good",{"good_id":"g","count":100e-2}]"#,
                r#"433[{"status":"ok""#,
            ),
            (r#"424["\ud83d",{}]"#, r#"434[{"status":"error","error":{"code":"forbidden""#),
            (r#"425[5,{}]"#, r#"435[{"status":"error","error":{"code":"forbidden""#),
            (r#"42[ "a\"\\\u0000",{}]"#, r#","event":"a\"\\\u0000"}"#),
            (r#"42[5]"#, r#","event":"5"}"#),
        ] {
            write(&mut raw, packet, fragment).await;
            let heard = raw.hear_part(answer, PATIENCE).await;
            assert!(heard.is_ok(), "{packet} in {fragment}: {heard:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_version_2_client_joins_its_namespace_however_its_packet_is_cut() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let long = format!("{},", "x=y&".repeat(2000));
    for query in ["cursor=a%3A1.2,", "a=?&b,", "cursor=a%3A1.2", &long] {
        for fragment in [usize::MAX, 1000, 30, 3] {
            let mut raw = Raw::websocket_of(server.port(), "/socket.io/", 3).await.unwrap();
            write(&mut raw, &format!("40{}?{query}", GUEST.trim_end_matches('/')), fragment).await;
            let ready = raw.hear_part(event::READY, PATIENCE).await;
            assert!(ready.is_ok(), "{} bytes in {fragment}: {ready:?}", query.len());
        }
    }
    server.stop().await;
}
