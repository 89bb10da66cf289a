//! A process that may open no more files.

use std::time::Duration;

use game_realtime_e2e::{
    PATIENCE, Server, Settings, Store,
    raw::{Heard, Raw},
};
use tokio::time::timeout;

use crate::honest::Honest;

const OPEN_FILES: usize = 64;

#[tokio::test]
async fn without_descriptors_connections_go_on_and_new_ones_come_in_once_others_close() {
    let server = Server::start(&Settings::new(&Store::Memory).with_open_files(OPEN_FILES)).await;
    let mut honest = Honest::connect(&server).await;
    let mut crowd = Vec::new();
    // Those that are not accepted wait in the system's queue.
    for _ in 0..OPEN_FILES {
        match timeout(Duration::from_millis(300), Raw::guest(server.port())).await {
            Ok(Ok(raw)) => crowd.push(raw),
            Ok(Err(error)) => panic!("{error}"),
            Err(_elapsed) => break,
        }
    }
    assert!((10..OPEN_FILES).contains(&crowd.len()), "{} came in", crowd.len());
    assert!(server.log().contains("connections are not accepted"), "{}", server.log());
    honest.is_served("the last descriptor was taken").await;
    for raw in &mut crowd {
        assert_ne!(raw.hear(Duration::from_millis(1)).await, Heard::Closed);
    }
    crowd.truncate(5);
    let mut late = timeout(PATIENCE, Raw::guest(server.port())).await.unwrap().unwrap();
    late.send_text("421[\"core.game.state.broadcast\",{\"message\":\"a\"}]").await.unwrap();
    late.hear_part("431[", PATIENCE).await.unwrap();
    server.stop().await;
}
