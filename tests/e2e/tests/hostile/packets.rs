//! Frames and packets that are too large, malformed, or out of turn.

use std::time::Duration;

use game_realtime_e2e::{
    Etcd, PATIENCE, Polling, Server, Settings, Store, event,
    raw::{GUEST, Heard, PRIVATE, Raw, frame, opcode},
};
use tokio::time::Instant;

use crate::honest::Honest;

/// Sooner than anybody is closed for want of a sign of life.
const AT_ONCE: Duration = Duration::from_secs(8);

/// What has to come of it.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// The connection is closed.
    Closed,
    /// An answer with this in it.
    Answer(&'static str),
    /// No answer, or an end: but an event that follows is either answered or not heard any more.
    Whatever,
}

fn text(packet: &str) -> Vec<u8> {
    frame(opcode::TEXT, packet.as_bytes())
}

fn event(argument: &str) -> Vec<u8> {
    text(&format!("427[\"core.game.state.broadcast\",{argument}]"))
}

fn nested(open: &str, close: &str) -> String {
    open.repeat(10_000) + &close.repeat(10_000)
}

#[tokio::test]
async fn what_is_no_event_is_answered_or_ends_the_connection() {
    use Then::{Answer, Closed, Whatever};
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let mut honest = Honest::connect(&server).await;
    let invalid = Answer("invalid_payload");
    for (name, sent, then) in [
        // WebSocket
        ("two mebibytes", event(&format!("{{\"message\":\"{}\"}}", "a".repeat(2 << 20))), Closed),
        (
            "two mebibytes in fragments",
            [
                frame(0x01, &[b'4'; 60_000]),
                frame(0x00, &[b'4'; 60_000]),
                frame(0x80, &[b'4'; 60_000]),
            ]
            .concat(),
            Closed,
        ),
        ("two mebibytes of attachment", frame(opcode::BINARY, &vec![4; 2 << 20]), Closed),
        ("a length beyond memory", [&[0x81, 0xff][..], &[0x7f; 8], &[0; 4]].concat(), Closed),
        ("a frame without a mask", b"\x81\x0242".to_vec(), Closed),
        ("an opcode that there is not", frame(0x83, b"42"), Closed),
        ("reserved bits", frame(0xf1, b"42"), Closed),
        ("a continuation of nothing", frame(0x80, b"42"), Closed),
        ("a large ping", frame(0x89, &[0; 126]), Closed),
        ("text that is none", frame(opcode::TEXT, b"42[\"\xff\xfe\"]"), Closed),
        ("noise", (0..=255).cycle().skip(77).take(5000).collect(), Closed),
        // Engine.IO
        ("an empty packet", text(""), Whatever),
        ("a packet type that there is not", text("9"), Whatever),
        ("a handshake from the client", text("0{}"), Whatever),
        ("an upgrade of nothing", text("5"), Whatever),
        ("a probe", text("2probe"), Whatever),
        ("pongs", text("3").repeat(1000), Whatever),
        // Socket.IO
        ("an empty message", text("4"), Whatever),
        ("a message type that there is not", text("49"), Whatever),
        ("an event without data", text("42"), Whatever),
        ("an event that is an object", text("42{}"), Whatever),
        ("half an array", text("42["), Whatever),
        ("half a name", text("42[\"core"), Whatever),
        ("a name that is a number", text("427[1]"), Whatever),
        ("an event of nobody's", text("427[\"nobody's\"]"), Answer("forbidden")),
        (
            "an event of another namespace",
            text("42/core/game/v1/real-time/private,7[\"a\"]"),
            Whatever,
        ),
        ("an acknowledgement of nothing", text("4399[]"), Whatever),
        (
            "an acknowledgement with a number beyond all",
            text(&format!("43{}[]", "9".repeat(99))),
            Whatever,
        ),
        ("connect again", text("40"), Whatever),
        ("connect to nowhere", text("40/nowhere,"), Answer("Invalid namespace")),
        ("connect a thousand times", text("40/nowhere,").repeat(1000), Whatever),
        ("connect_error from the client", text("44{}"), Whatever),
        (
            "10,001 attachments",
            text(&format!("4510001-7[\"core.game.state.broadcast\",{}]", "0,".repeat(9000) + "0")),
            Whatever,
        ),
        ("attachments beyond all", text(&format!("45{}-[\"a\"]", "9".repeat(30))), Whatever),
        ("an attachment of nothing", frame(opcode::BINARY, b"abc"), Whatever),
        // The event
        ("arrays in arrays", event(&nested("[", "]")), invalid),
        ("objects in objects", event(&nested("{\"\":", "}").replace(":}", ":0}")), invalid),
        ("arrays in a field", event(&format!("{{\"message\":{}}}", nested("[", "]"))), invalid),
        ("half an argument", event("{\"message\":\"a"), Whatever),
        ("a thousand fields", event(&format!("{{{}\"a\":0}}", "\"a\":0,".repeat(1000))), invalid),
        ("a number beyond all", event("{\"message\":1e999999}"), invalid),
        ("no argument", text("427[\"core.game.state.broadcast\"]"), invalid),
        ("many arguments", event("{\"message\":\"a\"},{},[],0"), invalid),
        ("half a surrogate", event(r#"{"message":"\ud800"}"#), invalid),
    ] {
        let mut raw = Raw::guest(server.port()).await.unwrap();
        // It may be closed before all is sent.
        raw.send(&sent).await.ok();
        match then {
            Answer(part) => {
                let answer = raw.hear_part(part, PATIENCE).await;
                assert!(answer.is_ok(), "{name}: {answer:?}");
            }
            Closed => assert!(raw.is_closed_within(AT_ONCE).await, "{name}"),
            Whatever => {
                raw.send(&event("{\"message\":\"after it\"}")).await.ok();
                let answer = raw.hear_part("437[", PATIENCE).await;
                assert_ne!(answer, Err(Heard::Nothing), "{name}");
            }
        }
        honest.is_served(name).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn nothing_is_heard_of_whoever_has_not_joined() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let mut honest = Honest::connect(&server).await;
    for path in [GUEST, "/socket.io/"] {
        let mut raw = Raw::websocket(server.port(), path).await.unwrap();
        raw.send(&event("{\"message\":\"before connect\"}")).await.unwrap();
        let heard = raw.hear_part("43", Duration::from_secs(10)).await;
        assert_eq!(heard, Err(Heard::Closed), "{path}");
        // The same for one that has left.
        let mut raw = Raw::guest(server.port()).await.unwrap();
        raw.send_text("41").await.unwrap();
        raw.send(&event("{\"message\":\"after disconnect\"}")).await.unwrap();
        let heard = raw.hear_part("437[", Duration::from_millis(300)).await;
        assert!(heard.is_err(), "{heard:?}");
        honest.is_served(path).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn joining_again_and_again_over_one_session_is_limited() {
    let settings = Settings::new(&Store::Memory)
        .with_toml("limits.rates.handshakes.per_second", "1")
        .with_toml("limits.rates.handshakes.burst", "3");
    let server = Server::start(&settings).await;
    let mut raw = Raw::websocket(server.port(), PRIVATE).await.unwrap();
    let (started, mut answers) = (Instant::now(), Vec::new());
    for _ in 0..20 {
        raw.send_text(r#"40{"token":"guessed"}"#).await.unwrap();
        answers.push(raw.hear_part("44", PATIENCE).await.unwrap());
    }
    let told = |code: &str| {
        let answer = format!("44{{\"message\":\"{code}\"}}");
        answers.iter().filter(|each| **each == answer).count()
    };
    // Three at once, and one more with every second that the machine takes for it.
    let let_through = 3 + usize::try_from(started.elapsed().as_secs()).unwrap();
    let refused = 20_usize.saturating_sub(let_through + 1);
    assert!(told("rate_limited") >= refused, "{} s: {answers:?}", started.elapsed().as_secs());
    assert_eq!(told("unauthenticated") + told("rate_limited"), 20, "{answers:?}");
    server.stop().await;
}

#[tokio::test]
async fn what_comes_with_the_upgrade_need_not_wait_for_more() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let mut raw = Raw::connect(server.port()).await.unwrap();
    let mut all = format!(
        "GET {GUEST}?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes();
    all.extend(frame(opcode::TEXT, b"40"));
    let sent = Instant::now();
    raw.send(&all).await.unwrap();
    assert_eq!(raw.answer(sent + PATIENCE).await.unwrap().0, 101);
    // Even its ping is not answered.
    loop {
        match raw.hear(PATIENCE).await {
            Heard::Text(text) if text.contains("core.game.connection.ready") => break,
            Heard::Text(_) => {}
            heard @ (Heard::Closed | Heard::Nothing) => panic!("{heard:?}"),
        }
    }
    assert!(sent.elapsed() < Duration::from_millis(900), "after {:?}", sent.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn a_session_with_a_full_inbox_that_moves_to_a_websocket_is_read_no_further() {
    // Of these 16 are on their way, and no more than 16 times the inbox would wait for them.
    const FULL: usize = 40;
    const EVENTS: usize = FULL + 300;
    const NAMESPACE: &str = "/core/game/v1/real-time/guest";
    let etcd = Etcd::start().await;
    let store = Store::Etcd { endpoint: etcd.endpoint(), prefix: "/e2e/moving".to_owned() };
    let server = Server::start(&Settings::new(&store).with_toml("limits.inbox_events", "8")).await;
    let polling = Polling::open(server.port()).await;
    polling.send(&format!("40{NAMESPACE},")).await;
    polling.await_packet(&format!("42{NAMESPACE},[\"core.game.connection.ready\"")).await;
    let event =
        |number| format!("42{NAMESPACE},{number}[\"{}\",{{\"message\":\"m\"}}]", event::BROADCAST);
    etcd.freeze();
    let events: Vec<_> = (0..FULL).map(event).collect();
    polling.send(&events.join("\u{1e}")).await;

    let mut raw = Raw::connect(server.port()).await.unwrap();
    let session = polling.session();
    let head = format!(
        "GET /socket.io/?EIO=4&transport=websocket&sid={session} HTTP/1.1\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    );
    assert_eq!(raw.request(&head, b"", PATIENCE).await.unwrap().0, 101);
    raw.send_text("2probe").await.unwrap();
    assert_eq!(raw.hear(PATIENCE).await, Heard::Text("3probe".to_owned()));
    raw.send_text("5").await.unwrap();
    for number in FULL..EVENTS {
        raw.send_text(&event(number)).await.unwrap();
    }
    assert_eq!(raw.hear(Duration::from_millis(500)).await, Heard::Nothing);
    etcd.thaw();
    for number in 0..EVENTS {
        let answer = format!("43{NAMESPACE},{number}[{{\"status\":");
        let answer = raw.hear_part(&answer, PATIENCE).await.unwrap();
        assert!(answer.contains("\"ok\""), "{answer}");
    }
    server.stop().await;
}
