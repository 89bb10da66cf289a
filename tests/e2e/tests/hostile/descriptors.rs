//! A process that may open no more files.

use std::{fs, time::Duration};

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

#[tokio::test]
async fn there_is_room_for_files_from_the_beginning_also_after_a_shell_with_a_low_limit() {
    let settings = Settings::new(&Store::Memory)
        .with_toml("limits.tcp_connections", "500")
        .with_open_files_at_first(OPEN_FILES);
    let server = Server::start(&settings).await;
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
    let size: usize = size.trim().parse().unwrap();
    assert!((500..1100).contains(&size), "a table for {size} files");
    let mut crowd = Vec::new();
    for _ in 0..2 * OPEN_FILES {
        let raw = timeout(PATIENCE, Raw::guest(server.port())).await;
        crowd.push(raw.expect("it comes in").unwrap());
    }
    assert!(!server.log().contains("raise `ulimit -n`"), "{}", server.log());
    server.stop().await;
}
