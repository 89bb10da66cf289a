//! The real binary as a process of its own.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::{PATIENCE, Response, Settings, get, signal::signal};

const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How much of a failed server's log is worth reading.
const LOG_TAIL_LINES: usize = 60;

/// A running server. Killed when dropped; if the test is failing then, its log is printed.
pub struct Server {
    process: Child,
    port: u16,
    admin_port: u16,
    directory: TempDir,
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub async fn start(settings: &Settings) -> Self {
        let mut server = Self::spawn(settings);
        server.await_ready().await;
        server
    }

    /// Starts a server without waiting.
    #[must_use]
    pub fn spawn(settings: &Settings) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = |name| File::create(directory.path().join(name)).expect("a new file").into();
        let (stdout, stderr) = (file("stdout"), file("stderr"));
        Self::spawn_in(directory, settings, stdout, stderr)
    }

    /// Starts a server that writes elsewhere than to its [`log`](Self::log), without waiting.
    #[must_use]
    pub fn spawn_writing_to(settings: &Settings, stdout: Stdio, stderr: Stdio) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self::spawn_in(directory, settings, stdout, stderr)
    }

    fn spawn_in(directory: TempDir, settings: &Settings, stdout: Stdio, stderr: Stdio) -> Self {
        let config = directory.path().join("config.toml");
        fs::write(&config, settings.toml()).expect("the directory can be written to");
        let mut command = settings.command();
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("GAME_REALTIME_") {
                command.env_remove(name);
            }
        }
        let process = command
            .arg("--config")
            .arg(&config)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .expect("the binary starts");
        Self { process, port: settings.port(), admin_port: settings.admin_port(), directory }
    }

    /// Waits until `/readyz` says 200.
    pub async fn await_ready(&mut self) {
        if let Some(status) = self.ready_or_ended().await {
            panic!("the server ended at once: {status}");
        }
    }

    /// Waits until `/readyz` says 200, or the process has ended: then with what.
    pub async fn ready_or_ended(&mut self) -> Option<ExitStatus> {
        let ready = async {
            while self.admin("/readyz").await.is_none_or(|response| response.status != 200) {
                if let Some(status) = self.exited() {
                    return Some(status);
                }
                sleep(POLL_INTERVAL).await;
            }
            None
        };
        timeout(PATIENCE, ready).await.expect("the server becomes ready or ends")
    }

    /// What clients connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The public port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// GETs a path of the admin port; `None` while nobody answers there.
    pub async fn admin(&self, path: &str) -> Option<Response> {
        get(self.admin_port, path).await.ok()
    }

    /// The process' exit status, if it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("a child can be waited for")
    }

    /// Lets the process panic when it comes to a point of this name next. Only what tests build has such
    /// points (`panic_point` in the code, feature `panic-points`).
    ///
    /// # Panics
    /// When the last order was not carried out.
    pub fn panic_at(&self, point: &str) {
        let (written, order) =
            (self.directory.path().join("order"), self.directory.path().join("panic-point"));
        assert!(!order.exists(), "the last panic did not happen");
        fs::write(&written, point).expect("the directory can be written to");
        fs::rename(&written, &order).expect("the directory can be written to");
    }

    /// Waits until it has panicked as ordered.
    ///
    /// # Panics
    /// When it does not.
    pub async fn await_panic(&self) {
        let order = self.directory.path().join("panic-point");
        let panicked = async {
            while order.exists() {
                sleep(POLL_INTERVAL).await;
            }
        };
        timeout(PATIENCE, panicked)
            .await
            .expect("the server has panic points and comes to this one");
    }

    /// Asks the process to end, as an orchestrator does.
    pub fn terminate(&self) {
        signal(&self.process, "TERM");
    }

    /// Sends the process a signal, e.g. `HUP`.
    pub fn signal(&self, name: &str) {
        signal(&self.process, name);
    }

    /// Stops the process without ending it.
    pub fn freeze(&self) {
        signal(&self.process, "STOP");
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        signal(&self.process, "CONT");
    }

    /// A file as the process sees it, small disk included.
    #[must_use]
    pub fn path_inside(&self, path: &Path) -> PathBuf {
        let root = Path::new("/proc").join(self.process.id().to_string()).join("root");
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The memory that the process has in RAM, and the most it has had, in KiB.
    ///
    /// # Panics
    /// When the kernel does not tell.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(path).expect("a running process has a status");
        let value = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let kibibytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
            kibibytes.and_then(|number| number.parse().ok()).expect("a size in kB")
        };
        (value("VmRSS:"), value("VmHWM:"))
    }

    /// How many TCP connections the process has made itself.
    ///
    /// # Panics
    /// When the kernel does not tell.
    #[must_use]
    pub fn outgoing_connections(&self) -> usize {
        const ESTABLISHED: &str = "01";
        let process = Path::new("/proc").join(self.process.id().to_string());
        let files = fs::read_dir(process.join("fd")).expect("a running process has files");
        let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        let sockets: Vec<_> = targets.map(|target| target.to_string_lossy().into_owned()).collect();
        let table = fs::read_to_string(process.join("net/tcp")).expect("there is a table");
        let outgoing = table.lines().skip(1).filter(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [_, local, _, state, _, _, _, _, _, inode, ..] = fields.as_slice() else {
                return false;
            };
            let port = local.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
            let came_in = port == Some(self.port) || port == Some(self.admin_port);
            *state == ESTABLISHED && !came_in && sockets.contains(&format!("socket:[{inode}]"))
        });
        outgoing.count()
    }

    /// Waits until the process has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = async {
            loop {
                if let Some(status) = self.exited() {
                    return status;
                }
                sleep(POLL_INTERVAL).await;
            }
        };
        timeout(PATIENCE, ended).await.expect("the server ends")
    }

    /// Ends the process in good order; it must end with 0.
    pub async fn stop(mut self) {
        self.terminate();
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "exit status after SIGTERM");
    }

    /// Ends the process as a power cut would.
    pub fn kill(mut self) {
        self.process.kill().expect("a child can be killed");
        self.process.wait().expect("a child can be waited for");
    }

    /// All it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        read("stdout") + &read("stderr")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.len().saturating_sub(LOG_TAIL_LINES);
            eprintln!("--- the end of the log of the server on port {}", self.port);
            for line in lines.iter().skip(tail) {
                eprintln!("{line}");
            }
        }
    }
}
