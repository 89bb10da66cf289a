//! A real etcd of the test's own, on loopback and in a temporary directory.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::{http, port::free_port};

/// How long etcd may take to elect itself.
const START_DEADLINE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running etcd. Killed when dropped.
pub struct Etcd {
    process: Child,
    /// Kills etcd when the test process ends without dropping this, as with a static.
    reaper: Child,
    client_port: u16,
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
        let data = tempfile::tempdir().expect("a temporary directory");
        let client = format!("http://127.0.0.1:{client_port}");
        let peer = format!("http://127.0.0.1:{}", free_port());
        let process = Command::new(program())
            .arg("--name=e2e")
            .arg("--data-dir")
            .arg(data.path())
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .arg(format!("--initial-cluster=e2e={peer}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd starts (tools/setup installs it)");
        let reaper = reaper_of(process.id());
        let mut etcd = Self { process, reaper, client_port, _data: data };
        timeout(START_DEADLINE, etcd.healthy()).await.expect("etcd becomes healthy");
        etcd
    }

    /// Where clients find it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    /// Stops the process without ending it: it is there and does not answer.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        self.signal("CONT");
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

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.process.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "kill -{name} failed");
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.reaper.kill().ok();
        self.reaper.wait().ok();
        self.process.kill().ok();
        self.process.wait().ok();
    }
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

/// The etcd to run: `GAME_REALTIME_ETCD_BIN`, else the one of `tools/setup`, else that in `PATH`.
fn program() -> PathBuf {
    if let Some(path) = env::var_os("GAME_REALTIME_ETCD_BIN") {
        return path.into();
    }
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin/etcd");
    if installed.exists() { installed } else { "etcd".into() }
}
