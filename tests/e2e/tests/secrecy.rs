//! What must not be seen outside: session ids, tokens, what somebody said.

use game_realtime_e2e::{
    ConnectOptions, Driver, Form, Library, Polling, Server, Settings, Store, event, mint, request,
};
use serde_json::json;

const PRIVATE: &str = "/core/game/v1/real-time/private";
const SAID: &str = "something nobody else should read";

#[tokio::test]
async fn a_session_id_is_nowhere_but_in_its_transport() {
    let settings = Settings::new(&Store::Memory)
        .with("log.level", "debug")
        .with("limits.connect_timeout", "300ms");
    let server = Server::start(&settings).await;
    let driver = Driver::start(Library::JavaScript4);
    let mut listeners = Vec::new();
    for (form, transport) in [(Form::Path, "polling"), (Form::Namespace, "websocket")] {
        let options = ConnectOptions::player(&server.url(), &mint("alice"));
        let options = options.by(form).over(&[transport]);
        listeners.push(driver.connect(&options).await.unwrap());
    }
    let token = mint("bob");
    let bob = Polling::open(server.port()).await;
    // Refused first, so that this is logged as well.
    bob.send(&format!("40{PRIVATE},{}", json!({"token": "nonsense"}))).await;
    bob.await_packet(&format!("44{PRIVATE},")).await;
    bob.send(&format!("40{PRIVATE},{}", json!({"token": token}))).await;
    let ready = bob.await_packet(&format!("42{PRIVATE},[\"{}\"", event::READY)).await;
    let mut seen = vec![ready];
    for (number, packet) in [
        format!("[\"{}\",{}]", event::BROADCAST, json!({"message": SAID})),
        format!(
            "[\"{}\",{}]",
            event::SEND_MESSAGE,
            json!({"target_user_id": "alice", "text": SAID})
        ),
        format!("[\"{}\",{}]", event::BROADCAST, json!({"message": 7})),
        "[\"no.such.event\",{}]".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        bob.send(&format!("42{PRIVATE},{number}{packet}")).await;
        seen.push(bob.await_packet(&format!("43{PRIVATE},{number}")).await);
    }
    bob.send(&format!("42{PRIVATE},[\"{}\",{{}}]", event::BUY_GOOD)).await;
    seen.push(bob.await_packet(&format!("42{PRIVATE},[\"{}\"", event::ERROR)).await);
    for listener in &listeners {
        listener.await_domain_events(2).await;
        seen.extend(listener.events().into_iter().map(|event| format!("{event:?}")));
    }
    // Requests that go wrong: their errors must not repeat what was asked.
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={}", bob.session());
    for (method, path) in
        [("PUT", path.clone()), ("POST", format!("{path}&x=%zz")), ("POST", path.clone())]
    {
        request(method, server.port(), &path, &[], "\u{0}nonsense").await.ok();
    }
    let metrics = server.admin("/metrics").await.unwrap().body;
    assert!(metrics.contains("game_realtime_connections"), "{metrics}");
    seen.push(metrics);
    let log = server.log();
    assert!(log.contains("\"DEBUG\""), "{log}");
    server.stop().await;
    for place in seen.iter().chain([&log]) {
        assert!(!place.contains(bob.session()), "the session id is in {place}");
        assert!(!place.contains(&token), "the token is in {place}");
    }
    assert!(!log.contains(SAID) && !log.contains("nonsense"), "{log}");
}
