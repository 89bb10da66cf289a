//! The move of a polling session to a WebSocket: whatever goes wrong with it, the session polls on.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests may fail")]

use std::time::Duration;

use futures_util::future::join_all;
use game_realtime_e2e::{
    ConnectOptions, Driver, Form, Library, Meddler, PATIENCE, Polling, Server, Settings, Store,
    event, mint,
    raw::{Heard, Raw, frame, opcode},
    request, shape,
};
use serde_json::json;
use tokio::time::{sleep, timeout};

const GUEST: &str = "/core/game/v1/real-time/guest";
/// How long an upgrade may take here.
const UPGRADE_TIMEOUT: Duration = Duration::from_millis(500);

fn settings() -> Settings {
    Settings::new(&Store::Memory).with_toml("limits.upgrade_timeout", "\"500ms\"")
}

/// A guest by path that polls and is ready, and what joins or broadcasts in its version.
async fn polling_guest(server: &Server, version: u8) -> Polling {
    let polling = Polling::open_version(server.port(), GUEST, version).await;
    if version == 4 {
        polling.send("40").await;
    }
    polling.await_packet("42[\"core.game.connection.ready\"").await;
    polling
}

/// Broadcasts, and waits for the answer and the event by polling; neither may come twice.
async fn assert_polls_on(polling: &Polling, what: &str) {
    let packet = format!("420[\"{}\",{{\"message\":\"{what}\"}}]", event::BROADCAST);
    polling.send(&packet).await;
    let mut got = Vec::new();
    while got.len() < 2 {
        let packets = timeout(PATIENCE, polling.poll()).await.unwrap_or_else(|_| panic!("{what}"));
        got.extend(packets.into_iter().filter(|packet| packet.starts_with('4')));
    }
    let acks = got.iter().filter(|packet| packet.starts_with("430[{\"status\":\"ok\"")).count();
    let events = got.iter().filter(|packet| packet.contains(&format!("\"message\":\"{what}\"")));
    assert_eq!((acks, events.count(), got.len()), (1, 1, 2), "{what}: {got:?}");
}

/// A WebSocket that tries to take over a session.
async fn upgrading(server: &Server, polling: &Polling) -> Raw {
    let (raw, status) =
        Raw::upgrade(server.port(), &polling.upgrade_path(), PATIENCE).await.unwrap();
    assert_eq!(status, Some(101));
    raw
}

#[tokio::test]
async fn an_upgrade_that_breaks_off_leaves_the_session_polling() {
    let server = Server::start(&settings()).await;
    for version in [4, 3] {
        let polling = polling_guest(&server, version).await;
        // Closed at once, and after each part of what a client says.
        let probe = frame(opcode::TEXT, b"2probe");
        let upgrade = frame(opcode::TEXT, b"5");
        let said = [&probe[..], &upgrade[..]].concat();
        for length in 0..said.len() {
            let mut raw = upgrading(&server, &polling).await;
            raw.send(&said[..length]).await.unwrap();
            if length >= probe.len() {
                assert_eq!(raw.hear(PATIENCE).await, Heard::Text("3probe".to_owned()));
            }
            drop(raw);
            if length % 5 == 0 {
                assert_polls_on(&polling, &format!("closed after {length} bytes")).await;
            }
        }
        assert_polls_on(&polling, "closed").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_or_silent_probe_closes_the_websocket_only() {
    let server = Server::start(&settings()).await;
    let text = |text: &str| frame(opcode::TEXT, text.as_bytes());
    let unmasked = b"\x81\x062probe".to_vec();
    let fragments = |middle: &[u8]| {
        [&frame(opcode::TEXT_BEGINS, b"2pr"), middle, &frame(0x80, b"obe")].concat()
    };
    for version in [4, 3] {
        let polling = polling_guest(&server, version).await;
        for (what, said) in [
            ("nothing", vec![]),
            ("a message", text("42[\"x\"]")),
            ("a ping", text("2")),
            ("another probe", text("2prob")),
            ("no text", text("")),
            ("binary", frame(opcode::BINARY, b"2probe")),
            ("unmasked", unmasked.clone()),
            ("too long", text(&"2".repeat(70_000))),
            ("a length beyond memory", b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
            ("a reserved bit", frame(0xC1, b"2probe")),
            ("a reserved opcode", frame(0x83, b"2probe")),
            ("a continuation of nothing", frame(0x80, b"2probe")),
            ("a goodbye", frame(0x88, &[0x03, 0xE8])),
            ("a text within a text", fragments(&text("5"))),
        ] {
            let mut raw = upgrading(&server, &polling).await;
            raw.send(&said).await.ok();
            assert!(raw.is_closed_within(UPGRADE_TIMEOUT + PATIENCE).await, "{what}");
            assert_polls_on(&polling, what).await;
        }
        // What is right all the same.
        for (what, said) in [
            ("fragments", fragments(&[])),
            ("a ping between fragments", fragments(&frame(0x89, b"x"))),
            ("a pong first", [frame(0x8A, b""), text("2probe")].concat()),
        ] {
            let mut raw = upgrading(&server, &polling).await;
            raw.send(&said).await.unwrap();
            assert_eq!(raw.hear(PATIENCE).await, Heard::Text("3probe".to_owned()), "{what}");
        }
        assert_polls_on(&polling, "after all").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn an_upgrade_takes_what_waited_for_the_next_poll_along_and_answers_the_last_one() {
    let server = Server::start(&settings()).await;
    for version in [4, 3] {
        let polling = polling_guest(&server, version).await;
        let mut raw = upgrading(&server, &polling).await;
        raw.send_text("2probe").await.unwrap();
        assert_eq!(raw.hear(PATIENCE).await, Heard::Text("3probe".to_owned()));
        // The poll that waits is answered, so that the client can stop.
        let mut last = polling.poll().await;
        if last == ["2"] {
            // The first ping, which may come as late as this.
            last = polling.poll().await;
        }
        assert_eq!(last, ["6"]);
        // More than the library keeps for one poll.
        for number in 0..20 {
            let packet = format!("42[\"{}\",{{\"message\":\"{number}\"}}]", event::BROADCAST);
            polling.send(&packet).await;
        }
        sleep(Duration::from_millis(100)).await;
        raw.send_text("5").await.unwrap();
        for number in 0..20 {
            let part = format!("\"message\":\"{number}\"");
            let Heard::Text(heard) = raw.hear(PATIENCE).await else { panic!("{number}") };
            assert!(heard.contains(&part), "version {version}, {number}: {heard}");
        }
        // It cannot be taken a second time.
        let again = Raw::upgrade(server.port(), &polling.upgrade_path(), PATIENCE).await.unwrap();
        if let (mut again, Some(101)) = again {
            again.send_text("2probe").await.ok();
            again.send_text("5").await.ok();
            assert!(again.is_closed_within(PATIENCE).await);
        }
        raw.send_text(&format!("421[\"{}\",{{\"message\":\"last\"}}]", event::BROADCAST))
            .await
            .unwrap();
        raw.hear_part("431[{\"status\":\"ok\"", PATIENCE).await.unwrap();
    }
    server.stop().await;
}

#[tokio::test]
async fn nobody_upgrades_a_session_that_is_not_there() {
    let server = Server::start(&settings()).await;
    let path = format!("{GUEST}?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAAAA");
    let (_, status) = Raw::upgrade(server.port(), &path, PATIENCE).await.unwrap();
    assert_eq!(status, Some(400));
    server.stop().await;
}

#[tokio::test]
async fn stock_clients_that_offer_subprotocols_get_the_first() {
    let server = Server::start(&settings()).await;
    for library in [Library::JavaScript4, Library::JavaScript3, Library::JavaScript2] {
        let driver = Driver::start(library);
        for transports in [&["websocket"][..], &["polling", "websocket"]] {
            let options = ConnectOptions::guest(&server.url())
                .over(transports)
                .with("options", json!({"protocols": ["game.v2", "game.v1"]}));
            let client = driver.connect(&options).await;
            let client = client.unwrap_or_else(|refused| panic!("{library:?}: {refused:?}"));
            client.wait_upgrade().await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_is_nearly_a_handshake_is_refused() {
    let server = Server::start(&settings()).await;
    for missing in ["Connection", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key"] {
        let handshake = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let headers: Vec<_> = handshake.into_iter().filter(|(name, _)| *name != missing).collect();
        let path = format!("{GUEST}?EIO=4&transport=websocket");
        let answer = request("GET", server.port(), &path, &headers, "").await.unwrap();
        assert_eq!(answer.status, 400, "without {missing}");
        assert_eq!(answer.header("Sec-WebSocket-Version"), Some("13"));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_clients_poll_behind_a_proxy_that_closes_every_websocket() {
    let server = Server::start(&settings()).await;
    let proxy = Meddler::cutting(server.port()).await;
    let libraries =
        [Library::JavaScript4, Library::JavaScript3, Library::JavaScript2, Library::Python];
    let drivers = libraries.map(Driver::start);
    let clients = drivers.iter().zip(libraries).flat_map(|(driver, library)| {
        [Form::Path, Form::Namespace].map(|form| {
            let options =
                ConnectOptions::player(&proxy.url(), &mint(&format!("{library:?}"))).by(form);
            async move {
                let client = driver.connect(&options).await;
                let client = client.unwrap_or_else(|refused| panic!("{library:?}: {refused:?}"));
                // Long enough for every attempt to upgrade.
                for round in 0..20 {
                    let ack = client.emit(event::BROADCAST, json!({"message": "x"})).await;
                    let id = shape::assert_committed(&ack, event::BROADCAST, false);
                    client.await_event(|event| event.payload()["id"] == id).await;
                    sleep(Duration::from_millis(50)).await;
                    assert_eq!(client.count_lifecycle("disconnect"), 0, "{library:?} {round}");
                }
                assert_eq!(client.transport().await, "polling", "{library:?}");
            }
        })
    });
    join_all(clients).await;
    server.stop().await;
}
