//! nginx and haproxy as Debian ships them, with the configuration files that we ship.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{Cluster, PATIENCE, free_port, signal::signal};

const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How many nodes the shipped files name.
const NODES: usize = 3;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balancer {
    /// `config/deploy/nginx/nginx.conf`
    Nginx,
    /// `config/deploy/haproxy/haproxy.cfg`
    Haproxy,
}

/// A running balancer. Ended when dropped.
pub struct Balancing {
    process: Child,
    plain_port: u16,
    tls_port: u16,
    // Holds its files until the process is gone: fields drop after `Drop::drop`.
    directory: TempDir,
}

/// What stands in a shipped file, and what the test puts there instead.
type Change = (&'static str, String);

impl Balancing {
    /// Starts a balancer before the three nodes of a cluster and waits until it serves.
    ///
    /// # Panics
    /// When the shipped file no longer holds what the test has to change, or the program does not
    /// start (`tools/setup` installs it).
    pub async fn start(balancer: Balancer, cluster: &Cluster) -> Self {
        assert_eq!(cluster.nodes.len(), NODES, "the shipped files name so many nodes");
        let directory = tempfile::tempdir().expect("a temporary directory");
        // nginx reads it as another user if this is root.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
            .expect("it is ours");
        make_certificate(directory.path());
        let (plain_port, tls_port) = (free_port(), free_port());
        let (shipped, changes) = match balancer {
            Balancer::Nginx => {
                ("nginx/nginx.conf", for_nginx(directory.path(), plain_port, tls_port))
            }
            Balancer::Haproxy => {
                ("haproxy/haproxy.cfg", for_haproxy(directory.path(), plain_port, tls_port))
            }
        };
        let shipped =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/deploy").join(shipped);
        let mut text = fs::read_to_string(&shipped).expect("the shipped file is there");
        for (old, new) in changes {
            assert!(text.contains(old), "{} has no {old:?}", shipped.display());
            text = text.replace(old, &new);
        }
        for (number, node) in cluster.nodes.iter().enumerate() {
            let (port, admin) = (node.settings().port(), node.settings().admin_port());
            let name = format!("node-{}:8080", number + 1);
            assert!(text.contains(&name), "{} has no {name}", shipped.display());
            let checked = format!("{name} check port 9090");
            text = text.replace(&checked, &format!("127.0.0.1:{port} check port {admin}"));
            text = text.replace(&name, &format!("127.0.0.1:{port}"));
        }
        let file = directory.path().join("balancer.conf");
        fs::write(&file, text).expect("the directory can be written to");
        let log = || fs::File::create(directory.path().join("log")).expect("a new file");
        let mut process = command(balancer, &file, directory.path())
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .expect("the balancer starts (tools/setup installs it)");
        let serves = async {
            while TcpStream::connect(("127.0.0.1", tls_port)).await.is_err() {
                let ended = process.try_wait().expect("a child can be waited for");
                assert!(ended.is_none(), "{balancer:?} ended at once: {ended:?}");
                sleep(POLL_INTERVAL).await;
            }
        };
        timeout(PATIENCE, serves).await.expect("the balancer serves");
        Self { process, plain_port, tls_port, directory }
    }

    /// What clients connect to without TLS.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.plain_port)
    }

    /// What clients connect to with TLS.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.tls_port)
    }

    /// Whom clients must trust to believe it.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("players.crt")
    }
}

impl Drop for Balancing {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            // nginx ends its workers then.
            signal(&self.process, "TERM");
        }
        self.process.wait().ok();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            eprintln!("--- the log of the balancer\n{log}");
        }
    }
}

fn for_haproxy(directory: &Path, plain_port: u16, tls_port: u16) -> Vec<Change> {
    let inside = |name: &str| directory.join(name).to_string_lossy().into_owned();
    vec![
        ("/run/haproxy/admin.sock", inside("admin.sock")),
        ("/etc/haproxy/certs/players.pem", inside("players.pem")),
        ("bind :443", format!("bind 127.0.0.1:{tls_port}")),
        ("bind :80", format!("bind 127.0.0.1:{plain_port}")),
        // As many files as it may open here.
        ("    maxconn 100000\n", "    maxconn 1000\n".to_owned()),
    ]
}

fn for_nginx(directory: &Path, plain_port: u16, tls_port: u16) -> Vec<Change> {
    let inside = |name: &str| directory.join(name).to_string_lossy().into_owned();
    // Debian's nginx has its own for these, which belong to root.
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};\n", inside(kind)));
    vec![
        ("/run/nginx.pid", inside("nginx.pid")),
        ("/var/log/nginx/error.log", "stderr".to_owned()),
        ("/var/log/nginx/access.log", inside("access.log")),
        ("/etc/nginx/certs", directory.to_string_lossy().into_owned()),
        ("listen 443", format!("listen 127.0.0.1:{tls_port}")),
        ("listen 80;", format!("listen 127.0.0.1:{plain_port};")),
        ("http {", format!("http {{\n{}", temporary.concat())),
        ("worker_rlimit_nofile 131072;", String::new()),
        ("worker_connections 65536;", "worker_connections 500;".to_owned()),
    ]
}

fn command(balancer: Balancer, file: &Path, directory: &Path) -> Command {
    let mut command;
    match balancer {
        Balancer::Nginx => {
            command = Command::new("/usr/sbin/nginx");
            command.arg("-p").arg(directory).args(["-e", "stderr", "-g", "daemon off;", "-c"]);
        }
        Balancer::Haproxy => {
            command = Command::new("/usr/sbin/haproxy");
            command.args(["-db", "-f"]);
        }
    }
    command.arg(file);
    command
}

/// A certificate for 127.0.0.1: nginx wants it apart from its key, haproxy in one file.
fn make_certificate(directory: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", "players.key", "-out", "players.crt"])
        .current_dir(directory)
        .stderr(Stdio::null())
        .status()
        .expect("openssl runs (tools/setup installs it)");
    assert!(made.success(), "openssl makes a certificate");
    let read = |name| fs::read_to_string(directory.join(name)).expect("openssl wrote it");
    let both = read("players.crt") + &read("players.key");
    fs::write(directory.join("players.pem"), both).expect("the directory can be written to");
}
