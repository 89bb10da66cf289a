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

use crate::{Certificates, http, port::free_port, signal::signal};

/// How long etcd may take to read what it wrote, which is gigabytes after a while flat out.
const RESTART_DEADLINE: Duration = Duration::from_secs(300);
/// How long etcd may take to elect itself.
const START_DEADLINE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running member of etcd, mostly the only one. Killed when dropped.
pub struct Etcd {
    process: Child,
    /// Kills etcd when the test process ends without dropping this, as with a static.
    reaper: Child,
    client_port: u16,
    /// Where it says whether it is well, without TLS.
    health_port: u16,
    /// How `etcdctl` reaches it.
    variables: Vec<(&'static str, String)>,
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
        let mut etcd = Self::spawn("e2e", client_port, &peer, &format!("e2e={peer}"), None, &[]);
        etcd.await_healthy().await;
        etcd
    }

    /// Starts etcd on a free port with further arguments.
    pub async fn start_with(more: &[&str]) -> Self {
        let peer = format!("http://127.0.0.1:{}", free_port());
        let mut etcd = Self::spawn("e2e", free_port(), &peer, &format!("e2e={peer}"), None, more);
        etcd.await_healthy().await;
        etcd
    }

    /// Starts etcd with further arguments. It speaks TLS, and only with those who have a certificate
    /// of the same authority.
    pub async fn start_secured(certificates: &Certificates, more: &[&str]) -> Self {
        let peer = format!("http://127.0.0.1:{}", free_port());
        let cluster = format!("e2e={peer}");
        let mut etcd = Self::spawn("e2e", free_port(), &peer, &cluster, Some(certificates), more);
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
        let start =
            |(name, peer): &(String, String)| Self::spawn(name, free_port(), peer, &all, None, &[]);
        let mut cluster: Vec<_> = peers.iter().map(start).collect();
        for member in &mut cluster {
            member.await_healthy().await;
        }
        cluster
    }

    fn spawn(
        name: &str,
        client_port: u16,
        peer: &str,
        cluster: &str,
        certificates: Option<&Certificates>,
        more: &[&str],
    ) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let scheme = if certificates.is_some() { "https" } else { "http" };
        let client = format!("{scheme}://127.0.0.1:{client_port}");
        let mut variables = vec![("ETCDCTL_ENDPOINTS", client.clone())];
        let mut health_port = client_port;
        let arguments = [
            ("--name", name),
            ("--data-dir", &*data.path().to_string_lossy()),
            ("--listen-client-urls", &client),
            ("--advertise-client-urls", &client),
            ("--listen-peer-urls", peer),
            ("--initial-advertise-peer-urls", peer),
            ("--initial-cluster", cluster),
        ];
        let mut arguments: Vec<_> =
            arguments.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if let Some(certificates) = certificates {
            health_port = free_port();
            let text = |path: PathBuf| path.to_string_lossy().into_owned();
            let (certificate, key) = certificates.of("server");
            arguments.extend([
                format!("--cert-file={}", text(certificate)),
                format!("--key-file={}", text(key)),
                format!("--trusted-ca-file={}", text(certificates.ca())),
                "--client-cert-auth=true".to_owned(),
                format!("--listen-metrics-urls=http://127.0.0.1:{health_port}"),
            ]);
            let (certificate, key) = certificates.of("client");
            variables.extend([
                ("ETCDCTL_CACERT", text(certificates.ca())),
                ("ETCDCTL_CERT", text(certificate)),
                ("ETCDCTL_KEY", text(key)),
            ]);
        }
        arguments.extend(more.iter().map(ToString::to_string));
        let process = run(&arguments);
        let reaper = reaper_of(process.id());
        let serves = AtomicBool::new(true);
        Self {
            process,
            reaper,
            client_port,
            health_port,
            variables,
            arguments,
            serves,
            _data: data,
        }
    }

    /// Ends the process as a power cut would. [`restart`](Self::restart) brings it back.
    pub fn kill(&mut self) {
        self.serves.store(false, Ordering::Relaxed);
        self.reaper.kill().ok();
        self.reaper.wait().ok();
        self.process.kill().ok();
        self.process.wait().ok();
    }

    /// Starts it again, on the same data and the same ports, and waits until it is healthy. Before that it
    /// reads everything it has written since its last snapshot.
    pub async fn restart(&mut self) {
        self.kill();
        self.process = run(&self.arguments);
        self.reaper = reaper_of(self.process.id());
        self.serves.store(true, Ordering::Relaxed);
        timeout(RESTART_DEADLINE, self.healthy()).await.expect("etcd becomes healthy again");
    }

    /// Where clients find it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let endpoint = self.variables.iter().find(|(name, _)| *name == "ETCDCTL_ENDPOINTS");
        endpoint.map(|(_, endpoint)| endpoint.clone()).unwrap_or_default()
    }

    /// Runs a shell script in which `etcdctl` talks to this etcd. Returns what it wrote.
    ///
    /// # Errors
    /// With what it wrote, when a command of it fails.
    pub fn run(&self, script: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin");
        let path = env::var("PATH").unwrap_or_default();
        let output = Command::new("sh")
            .args(["-e", "-c", script])
            .env("PATH", format!("{}:{path}", tools.display()))
            .env("ETCDCTL_API", "3")
            .envs(self.variables.iter().map(|(name, value)| (*name, value.as_str())))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("sh runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(text) } else { Err(text) }
    }

    /// How often it was asked for something, e.g. `Authenticate`.
    pub async fn count_calls(&self, method: &str) -> u64 {
        let metrics = http::get(self.health_port, "/metrics").await.expect("etcd counts").body;
        let method = format!("grpc_method=\"{method}\"");
        let line = metrics
            .lines()
            .find(|line| line.starts_with("grpc_server_started_total") && line.contains(&method));
        line.and_then(|line| line.rsplit(' ').next()?.trim().parse().ok()).unwrap_or_default()
    }

    /// The number of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The port on which it answers `/health` and `/metrics` without TLS.
    #[must_use]
    pub fn health_port(&self) -> u16 {
        self.health_port
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
            if let Ok(response) = http::get(self.health_port, "/health").await
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
