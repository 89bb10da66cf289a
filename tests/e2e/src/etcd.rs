//! A real etcd of the test's own, on loopback and in a temporary directory.

mod raw;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::{sleep, timeout};

pub use raw::RawKey;

use crate::{http, port::free_port, signal::signal};

/// How long etcd may take to elect itself.
const START_DEADLINE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running member of etcd, mostly the only one. Killed when dropped.
pub struct Etcd {
    process: Child,
    /// Kills etcd when the test process ends without dropping this, as with a static.
    reaper: Child,
    client_port: u16,
    arguments: Vec<String>,
    /// Whether it runs and is not frozen.
    serves: AtomicBool,
    // Holds the data until the process is gone: fields drop in order, after `Drop::drop`.
    _data: TempDir,
}

impl Etcd {
    /// Starts etcd on a free port and waits until it is healthy.
    pub async fn start() -> Self {
        Self::start_on(free_port()).await
    }

    /// Starts etcd on a given port and waits until it is healthy.
    pub async fn start_on(client_port: u16) -> Self {
        let peer = format!("http://127.0.0.1:{}", free_port());
        let mut etcd = Self::spawn("e2e", client_port, &peer, &format!("e2e={peer}"));
        etcd.await_healthy().await;
        etcd
    }

    /// Starts a cluster of so many members and waits until all are healthy.
    pub async fn start_cluster(members: usize) -> Vec<Self> {
        let peers: Vec<_> = (0..members)
            .map(|number| (format!("e2e{number}"), format!("http://127.0.0.1:{}", free_port())))
            .collect();
        let all: Vec<_> = peers.iter().map(|(name, peer)| format!("{name}={peer}")).collect();
        let all = all.join(",");
        let start = |(name, peer): &(String, String)| Self::spawn(name, free_port(), peer, &all);
        let mut cluster: Vec<_> = peers.iter().map(start).collect();
        for member in &mut cluster {
            member.await_healthy().await;
        }
        cluster
    }

    fn spawn(name: &str, client_port: u16, peer: &str, cluster: &str) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let client = format!("http://127.0.0.1:{client_port}");
        let arguments = [
            ("--name", name),
            ("--data-dir", &*data.path().to_string_lossy()),
            ("--listen-client-urls", &client),
            ("--advertise-client-urls", &client),
            ("--listen-peer-urls", peer),
            ("--initial-advertise-peer-urls", peer),
            ("--initial-cluster", cluster),
        ];
        let arguments: Vec<_> =
            arguments.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let process = run(&arguments);
        let reaper = reaper_of(process.id());
        let serves = AtomicBool::new(true);
        Self { process, reaper, client_port, arguments, serves, _data: data }
    }

    /// Ends the process as a power cut would. [`restart`](Self::restart) brings it back.
    pub fn kill(&mut self) {
        self.serves.store(false, Ordering::Relaxed);
        self.reaper.kill().ok();
        self.reaper.wait().ok();
        self.process.kill().ok();
        self.process.wait().ok();
    }

    /// Starts it again, on the same data and the same ports, and waits until it is healthy.
    pub async fn restart(&mut self) {
        self.kill();
        self.process = run(&self.arguments);
        self.reaper = reaper_of(self.process.id());
        self.serves.store(true, Ordering::Relaxed);
        self.await_healthy().await;
    }

    /// Where clients find it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    /// The port of [`endpoint`](Self::endpoint).
    #[must_use]
    pub fn client_port(&self) -> u16 {
        self.client_port
    }

    /// Stops the process without ending it: it is there and does not answer.
    pub fn freeze(&self) {
        self.serves.store(false, Ordering::Relaxed);
        signal(&self.process, "STOP");
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        signal(&self.process, "CONT");
        self.serves.store(true, Ordering::Relaxed);
    }

    /// Whether it runs and is not frozen.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.serves.load(Ordering::Relaxed)
    }

    async fn await_healthy(&mut self) {
        timeout(START_DEADLINE, self.healthy()).await.expect("etcd becomes healthy");
    }

    async fn healthy(&mut self) {
        loop {
            if let Some(status) = self.process.try_wait().expect("a child can be waited for") {
                panic!("etcd ended at once: {status}");
            }
            if let Ok(response) = http::get(self.client_port, "/health").await
                && response.body.contains("\"true\"")
            {
                return;
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(arguments: &[String]) -> Child {
    Command::new(program("etcd"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("etcd starts (tools/setup installs it)")
}

/// Waits until this process is gone, which closes the pipe, and then kills another one.
fn reaper_of(process: u32) -> Child {
    Command::new("sh")
        .args(["-c", &format!("cat >/dev/null; kill -9 {process}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh runs")
}

/// The program to run: `GAME_REALTIME_ETCD_BIN` for etcd itself, else that of `tools/setup`, else
/// that in `PATH`.
fn program(name: &str) -> PathBuf {
    if let Some(path) = env::var_os("GAME_REALTIME_ETCD_BIN")
        && name == "etcd"
    {
        return path.into();
    }
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin").join(name);
    if installed.exists() { installed } else { name.into() }
}
