//! An etcd of one test alone, which it may break.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use game_realtime_contract::unique_id;
use game_realtime_e2e::{free_port, get};

use super::until;

const START_DEADLINE: Duration = Duration::from_secs(30);

/// A running etcd, with its data in a directory of its own. Both are gone when it is dropped.
pub(crate) struct Member {
    process: Child,
    client_port: u16,
    peer_port: u16,
    data: PathBuf,
    arguments: Vec<String>,
}

impl Member {
    /// Starts etcd with further arguments and waits until it is healthy.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let (client_port, peer_port) = (free_port(), free_port());
        let data = env::temp_dir().join(format!("game-realtime-etcd-{}", unique_id()));
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        let process = spawn(client_port, peer_port, &data, &arguments);
        let member = Self { process, client_port, peer_port, data, arguments };
        member.healthy().await;
        member
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("etcd is killed");
        self.process.wait().expect("etcd is waited for");
    }

    /// Starts it again on its data, after [`kill`](Self::kill).
    pub(crate) async fn start_again(&mut self) {
        self.process = spawn(self.client_port, self.peer_port, &self.data, &self.arguments);
        self.healthy().await;
    }

    async fn healthy(&self) {
        until("etcd is healthy", START_DEADLINE, || async {
            get(self.client_port, "/health").await.is_ok_and(|it| it.body.contains("\"true\""))
        })
        .await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        fs::remove_dir_all(&self.data).ok();
    }
}

fn spawn(client_port: u16, peer_port: u16, data: &Path, arguments: &[String]) -> Child {
    let client = format!("http://127.0.0.1:{client_port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    Command::new(program())
        .arg("--name=test")
        .arg("--data-dir")
        .arg(data)
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .arg(format!("--initial-cluster=test={peer}"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("etcd starts (tools/setup installs it)")
}

fn program() -> PathBuf {
    if let Some(path) = env::var_os("GAME_REALTIME_ETCD_BIN") {
        return path.into();
    }
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin/etcd");
    if installed.exists() { installed } else { "etcd".into() }
}
