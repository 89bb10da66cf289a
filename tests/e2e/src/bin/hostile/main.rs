//! Attacks a node with its default limits for a while, and says what that cost it and its honest
//! clients: `hostile [handshakes] [slow-loris] [slow-consumers] [flood] [upgrade] [fuzz [inputs] [seed]]`. Exit code 1
//! if it cost too much.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for developers that fails loudly and prints what it does"
)]

mod flood;
mod fuzz;
mod handshakes;
mod honest;
mod slow_consumers;
mod slow_loris;
mod upgrade;

use std::{env, process::ExitCode};

use game_realtime_e2e::{Server, Settings, Store};

const SCENARIOS: [&str; 6] =
    ["handshakes", "slow-loris", "slow-consumers", "flood", "upgrade", "fuzz"];

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [what, port] = arguments.as_slice()
        && what == flood::ATTACKER
    {
        flood::attack(port.parse().expect("a port")).await;
        return ExitCode::SUCCESS;
    }
    let (numbers, named): (Vec<_>, Vec<_>) =
        arguments.into_iter().partition(|argument| argument.parse::<u64>().is_ok());
    let numbers: Vec<u64> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    let mut passed = true;
    for scenario in SCENARIOS {
        if !named.is_empty() && !named.iter().any(|name| name == scenario) {
            continue;
        }
        if scenario == "fuzz" {
            // It has a cluster of its own, and a store that can be looked into.
            passed &= fuzz::run(&numbers).await;
            continue;
        }
        let server = Server::start(&Settings::new(&Store::Memory).with_default_limits()).await;
        let good = match scenario {
            "handshakes" => handshakes::run(&server).await,
            "slow-loris" => slow_loris::run(&server).await,
            "slow-consumers" => slow_consumers::run(&server).await,
            "upgrade" => upgrade::run(&server, &numbers).await,
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
