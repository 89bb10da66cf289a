//! Clients that leave a namespace and join it again over the same transport, as fast as they can.

use game_realtime_e2e::{
    PATIENCE, Polling, Server, Settings, Store, event,
    raw::{GUEST, PRIVATE, Raw, frame, opcode},
};

const TIMES: usize = 30;
const NAMESPACE: &str = "/core/game/v1/real-time/guest";

#[tokio::test]
async fn a_client_that_leaves_and_joins_in_one_breath_is_ready_again() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    for (path, prefix, version) in [
        (GUEST, String::new(), 4),
        ("/socket.io/", format!("{NAMESPACE},"), 4),
        ("/socket.io/", format!("{NAMESPACE},"), 3),
    ] {
        let mut raw = Raw::websocket_of(server.port(), path, version).await.unwrap();
        raw.send_text(&format!("40{prefix}")).await.unwrap();
        raw.hear_part(event::READY, PATIENCE).await.unwrap();
        let leave = frame(opcode::TEXT, format!("41{prefix}").as_bytes());
        let join = frame(opcode::TEXT, format!("40{prefix}").as_bytes());
        for time in 0..TIMES {
            raw.send(&[&leave[..], &join[..]].concat()).await.unwrap();
            let ready = raw.hear_part(event::READY, PATIENCE).await;
            assert!(ready.is_ok(), "{path} {version}, time {time}: {ready:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_polling_client_that_leaves_and_joins_in_one_request_is_ready_again() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let polling = Polling::open(server.port()).await;
    polling.send(&format!("40{NAMESPACE},")).await;
    let ready = format!("42{NAMESPACE},[\"{}\"", event::READY);
    polling.await_packet(&ready).await;
    for _ in 0..TIMES {
        polling.send(&format!("41{NAMESPACE},\u{1e}40{NAMESPACE},")).await;
        polling.await_packet(&ready).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_is_refused_and_tries_again_at_once_is_answered_each_time() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    let namespace = "/core/game/v1/real-time/private";
    let polling = Polling::open(server.port()).await;
    for _ in 0..TIMES {
        polling.send(&format!("40{namespace},")).await;
        polling.await_packet("44").await;
    }
    let mut raw = Raw::websocket(server.port(), PRIVATE).await.unwrap();
    for time in 0..TIMES {
        raw.send_text("40").await.unwrap();
        let refused = raw.hear_part("44", PATIENCE).await;
        assert!(refused.is_ok(), "time {time}: {refused:?}");
    }
    server.stop().await;
}

/// The library knows nobody between the first CONNECT and its answer: the client has to come again.
#[tokio::test]
async fn a_client_that_leaves_before_it_has_joined_is_not_left_without_an_answer() {
    let server = Server::start(&Settings::new(&Store::Memory)).await;
    for time in 0..TIMES {
        let mut raw = Raw::websocket(server.port(), GUEST).await.unwrap();
        let [join, leave] = ["40", "41"].map(|packet| frame(opcode::TEXT, packet.as_bytes()));
        raw.send(&[&join[..], &leave[..], &join[..]].concat()).await.unwrap();
        match raw.hear_part(event::READY, PATIENCE).await {
            Ok(_) | Err(game_realtime_e2e::raw::Heard::Closed) => {}
            Err(heard) => panic!("time {time}: {heard:?}"),
        }
    }
    server.stop().await;
}
