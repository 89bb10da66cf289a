//! What a server is started with.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{API_TOKEN, SECRET, free_port};

/// Where a server keeps its events.
#[derive(Debug, Clone)]
pub enum Store {
    /// Embedded, nowhere.
    Memory,
    /// Embedded, in a file.
    File(PathBuf),
    /// In etcd, under a prefix of its own.
    Etcd {
        /// Where etcd is.
        endpoint: String,
        /// What all keys begin with.
        prefix: String,
    },
}

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    port: u16,
    admin_port: u16,
    lines: Vec<(String, String)>,
    small_disk: Option<(PathBuf, usize)>,
    /// What a shell does before it becomes the process.
    prelude: Option<String>,
    counted: Option<PathBuf>,
    authorities: Option<PathBuf>,
}

impl Settings {
    /// Settings for a server on free ports of loopback.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        let (port, admin_port) = (free_port(), free_port());
        let settings = Self {
            port,
            admin_port,
            lines: Vec::new(),
            small_disk: None,
            prelude: None,
            counted: None,
            authorities: None,
        }
        .with("http.host", "127.0.0.1")
        .with_toml("http.port", &port.to_string())
        .with("admin.host", "127.0.0.1")
        .with_toml("admin.port", &admin_port.to_string())
        .with("auth.jwt.secret", SECRET)
        .with("log.level", "info")
        .without_rates();
        match store {
            Store::Memory => settings.with("embedded.path", ":memory:"),
            Store::File(path) => settings.with("embedded.path", &path.to_string_lossy()),
            Store::Etcd { endpoint, prefix } => settings
                .with("store.backend", "etcd")
                .with_toml("etcd.endpoints", &format!("[{endpoint:?}]"))
                .with("etcd.prefix", prefix),
        }
    }

    /// Lets clients do everything as often as they like: tests are in a hurry.
    fn without_rates(self) -> Self {
        let rates = ["connection", "broadcast", "send_message", "buy_good", "handshakes"];
        rates.iter().fold(self, |settings, rate| {
            settings.with_toml(&format!("limits.rates.{rate}.per_second"), "0")
        })
    }

    /// Sets a key to a text (durations are texts).
    #[must_use]
    pub fn with(self, key: &str, value: &str) -> Self {
        self.with_toml(key, &format!("{value:?}"))
    }

    /// Sets a key to a TOML value.
    #[must_use]
    pub fn with_toml(mut self, key: &str, value: &str) -> Self {
        self.lines.retain(|(name, _)| name != key);
        self.lines.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Opens the API of the admin port, with [`API_TOKEN`].
    #[must_use]
    pub fn with_api(self) -> Self {
        self.with("admin.api_token", API_TOKEN)
    }

    /// Leaves a key out.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.lines.retain(|(name, _)| name != key);
        self
    }

    /// Keeps the built-in limits, which tests otherwise loosen.
    #[must_use]
    pub fn with_default_limits(mut self) -> Self {
        self.lines.retain(|(key, _)| !key.starts_with("limits."));
        self
    }

    /// Gives the process, and nobody else, a file system of so many bytes in memory at `directory`.
    /// It is gone with the process. Needs the right to mount.
    #[must_use]
    pub fn with_small_disk(mut self, directory: &Path, bytes: usize) -> Self {
        self.small_disk = Some((directory.to_owned(), bytes));
        self
    }

    /// Lets the process open so many files at once, sockets among them.
    #[must_use]
    pub fn with_open_files(mut self, count: usize) -> Self {
        self.prelude = Some(format!("ulimit -n {count}"));
        self
    }

    /// Has the process ignore a signal when it begins, e.g. `HUP`, as `nohup` does.
    #[must_use]
    pub fn with_ignored_signal(mut self, name: &str) -> Self {
        self.prelude = Some(format!("trap '' {name}"));
        self
    }

    /// As [`with_open_files`](Self::with_open_files), but the process may raise the limit.
    #[must_use]
    pub fn with_open_files_at_first(mut self, count: usize) -> Self {
        self.prelude = Some(format!("ulimit -S -n {count}"));
        self
    }

    /// Has the instructions counted that the process carries out, in user mode and on one worker. What
    /// valgrind found is in `file` once the process has ended.
    #[must_use]
    pub fn with_counted_instructions(mut self, file: &Path) -> Self {
        self.counted = Some(file.to_owned());
        self
    }

    /// Has the process take the authorities in a PEM file for those of the system.
    #[must_use]
    pub fn with_authorities(mut self, file: &Path) -> Self {
        self.authorities = Some(file.to_owned());
        self
    }

    /// The public port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The admin port.
    #[must_use]
    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// As a configuration file.
    pub(crate) fn toml(&self) -> String {
        self.lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
    }

    /// What starts the server, but for its arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.program();
        if let Some(file) = &self.authorities {
            command.env("SSL_CERT_FILE", file);
        }
        command
    }

    fn program(&self) -> Command {
        if let Some(prelude) = &self.prelude {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("{prelude} && exec \"$0\" \"$@\"")]).arg(binary());
            return command;
        }
        if let Some(file) = &self.counted {
            let mut command = Command::new("valgrind");
            command.args(["--quiet", "--tool=callgrind"]);
            command.arg(format!("--callgrind-out-file={}", file.display()));
            command.arg(binary()).env("TOKIO_WORKER_THREADS", "1");
            return command;
        }
        let Some((directory, bytes)) = &self.small_disk else { return Command::new(binary()) };
        let mut command = Command::new("unshare");
        let mount = format!("mount -t tmpfs -o size={bytes} tmpfs \"$0\" && exec \"$@\"");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]).arg(mount);
        command.arg(directory).arg(binary());
        command
    }
}

/// The binary, built if need be; `GAME_REALTIME_E2E_BINARY` names another.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = env::var_os("GAME_REALTIME_E2E_BINARY") {
            return path.into();
        }
        // <target>/<profile>/deps/<this test>, or <target>/<profile>/<this program>
        let program = env::current_exe().expect("a program has a path");
        let directory = program.parent().expect("it is in a directory");
        let profile =
            if directory.ends_with("deps") { directory.parent() } else { Some(directory) };
        let profile = profile.expect("tests are built into <profile>/deps");
        let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "-p", "game-realtime"]);
        if profile.ends_with("release") {
            build.arg("--release");
        } else {
            // See `Server::panic_at`.
            build.args(["--features", "panic-points"]);
        }
        // What cargo tells a test would make it build dependencies again that look at it.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                build.env_remove(&name);
            }
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(built.success(), "the server does not build");
        profile.join("game-realtime")
    })
}
