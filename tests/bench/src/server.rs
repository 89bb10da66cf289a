//! A server that is measured.

use std::{
    env,
    net::{Ipv4Addr, TcpStream},
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use game_realtime_e2e::{SECRET, free_port};

use crate::{
    process::{Process, SERVER_CORE},
    subject::Subject,
};

const POLL_INTERVAL: Duration = Duration::from_millis(20);
const START_ATTEMPTS: usize = 500;

/// A running server. Killed when dropped.
pub struct Server {
    /// What it is.
    pub subject: Subject,
    /// Where it runs.
    pub process: Process,
    /// Where it listens, on loopback.
    pub port: u16,
}

impl Server {
    /// Starts a server and waits until it listens.
    ///
    /// # Panics
    /// When it does not within ten seconds.
    #[must_use]
    pub fn start(subject: Subject) -> Self {
        Self::launch(subject, |command, port| {
            if subject.is_gateway() {
                configure(command, port);
                command.env("GAME_REALTIME__EMBEDDED__PATH", ":memory:");
            } else {
                command.arg(port.to_string());
            }
        })
    }

    /// Starts the gateway on an etcd and waits until it listens.
    ///
    /// # Panics
    /// When it does not within ten seconds.
    #[must_use]
    pub fn start_on_etcd(endpoint: &str) -> Self {
        Self::launch(Subject::Gateway, |command, port| {
            configure(command, port);
            command
                .env("GAME_REALTIME__STORE__BACKEND", "etcd")
                .env("GAME_REALTIME__ETCD__ENDPOINTS", format!("[\"{endpoint}\"]"));
        })
    }

    fn launch(subject: Subject, configure: impl FnOnce(&mut Command, u16)) -> Self {
        let port = free_port();
        let process = Process::start(subject.program(), SERVER_CORE, |command| {
            command.stdin(Stdio::null()).stdout(Stdio::null());
            configure(command, port);
        });
        for _ in 0..START_ATTEMPTS {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Self { subject, process, port };
            }
            sleep(POLL_INTERVAL);
        }
        panic!("{} does not listen", subject.program());
    }
}

/// What has no limit here: all clients have one address, some one user, and all are in a hurry.
const UNLIMITED: [&str; 9] = [
    "RATES__CONNECTION__PER_SECOND",
    "RATES__BROADCAST__PER_SECOND",
    "RATES__SEND_MESSAGE__PER_SECOND",
    "RATES__BUY_GOOD__PER_SECOND",
    "RATES__HANDSHAKES__PER_SECOND",
    "CONNECTIONS_PER_USER",
    "CONNECTIONS_PER_IP",
    "CONNECTIONS_PER_NODE",
    "TCP_CONNECTIONS",
];

/// The default settings, but everything is on loopback, and there are no limits.
fn configure(command: &mut Command, port: u16) {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("GAME_REALTIME_") {
            command.env_remove(name);
        }
    }
    for limit in UNLIMITED {
        command.env(format!("GAME_REALTIME__LIMITS__{limit}"), "0");
    }
    command
        .env("GAME_REALTIME__HTTP__HOST", "127.0.0.1")
        .env("GAME_REALTIME__HTTP__PORT", port.to_string())
        .env("GAME_REALTIME__ADMIN__PORT", free_port().to_string())
        .env("GAME_REALTIME__AUTH__JWT__SECRET", SECRET);
}
