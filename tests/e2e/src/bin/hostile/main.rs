//! Attacks a node with its default limits for a while, and says what that cost it and its honest
//! clients: `hostile [handshakes] [slow-loris] [flood]`. Exit code 1 if it cost too much.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for developers that fails loudly and prints what it does"
)]

mod flood;
mod handshakes;
mod honest;
mod slow_loris;

use std::{env, process::ExitCode};

use game_realtime_e2e::{Server, Settings, Store};

const SCENARIOS: [&str; 3] = ["handshakes", "slow-loris", "flood"];

#[tokio::main]
async fn main() -> ExitCode {
    let named: Vec<String> = env::args().skip(1).collect();
    let mut passed = true;
    for scenario in SCENARIOS {
        if !named.is_empty() && !named.iter().any(|name| name == scenario) {
            continue;
        }
        let server = Server::start(&Settings::new(&Store::Memory).with_default_limits()).await;
        let good = match scenario {
            "handshakes" => handshakes::run(&server).await,
            "slow-loris" => slow_loris::run(&server).await,
            _ => flood::run(&server).await,
        };
        let (_, most) = server.memory();
        println!(
            "{scenario}: at most {} MiB; {}",
            most / 1024,
            if good { "passed" } else { "FAILED" }
        );
        passed &= good;
        server.stop().await;
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
