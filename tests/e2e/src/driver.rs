//! A process that hosts stock Socket.IO clients and speaks JSON lines (see `clients/node/driver.mjs`).

use std::{
    collections::HashMap,
    env,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    ConnectOptions, PATIENCE,
    client::{Client, Observation},
};

/// Commands on their way to the process.
const COMMAND_QUEUE: usize = 1024;

/// A client library, as its users install it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// npm `socket.io-client` 2.x: Engine.IO 3.
    JavaScript2,
    /// npm `socket.io-client` 3.x.
    JavaScript3,
    /// npm `socket.io-client` 4.x.
    JavaScript4,
    /// PyPI `python-socketio`, its asyncio client.
    Python,
}

impl Library {
    fn version(self) -> u8 {
        match self {
            Self::JavaScript2 => 2,
            Self::JavaScript3 => 3,
            Self::JavaScript4 => 4,
            Self::Python => 0,
        }
    }
}

/// The server, or the way to it, refused a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What the library said: the message of `connect_error`.
    pub message: String,
}

/// A running driver process. Killed when dropped.
pub struct Driver {
    shared: Arc<Shared>,
    _process: Child,
}

/// What the driver and its clients share.
pub(crate) struct Shared {
    library: Library,
    commands: mpsc::Sender<String>,
    next_id: AtomicU64,
    next_client: AtomicU64,
    replies: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    observations: Mutex<HashMap<String, Vec<Observation>>>,
    // Counts the observations: who waits for one looks again whenever it changes.
    changed: watch::Sender<u64>,
}

impl Driver {
    /// Starts the process that hosts clients of `library`.
    #[must_use]
    pub fn start(library: Library) -> Self {
        Self::host(library, command(library))
    }

    /// As [`start`](Self::start); the clients believe this certificate (a PEM file) as well.
    #[must_use]
    pub fn start_trusting(library: Library, certificate: &Path) -> Self {
        let mut command = command(library);
        // Node.js and OpenSSL, in this order.
        command.env("NODE_EXTRA_CA_CERTS", certificate).env("SSL_CERT_FILE", certificate);
        Self::host(library, command)
    }

    fn host(library: Library, mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the driver starts (tools/setup installs the clients)");
        let input = process.stdin.take().expect("stdin is piped");
        let output = process.stdout.take().expect("stdout is piped");
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
        let shared = Arc::new(Shared {
            library,
            commands,
            next_id: AtomicU64::new(1),
            next_client: AtomicU64::new(1),
            replies: Mutex::default(),
            observations: Mutex::default(),
            changed: watch::Sender::new(0),
        });
        // Both end with the process' pipes.
        tokio::spawn(write_commands(queue, input));
        tokio::spawn(read_lines(Arc::clone(&shared), BufReader::new(output).lines()));
        Self { shared, _process: process }
    }

    /// Connects a client and waits for `core.game.connection.ready`.
    ///
    /// # Errors
    /// When the client was refused.
    pub async fn connect(&self, options: &ConnectOptions) -> Result<Client, Refused> {
        let number = self.shared.next_client.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:?}-{number}", self.shared.library);
        let mut command = options.to_command();
        if let Some(fields) = command.as_object_mut() {
            fields.insert("op".to_owned(), json!("connect"));
            fields.insert("client".to_owned(), json!(name));
            let version = json!(self.shared.library.version());
            fields.entry("version").or_insert(version);
        }
        match self.shared.call(command).await {
            Ok(reply) => Ok(Client::new(
                Arc::clone(&self.shared),
                name,
                reply.get("ready").cloned().unwrap_or_default(),
                options.namespace,
            )),
            Err(message) => Err(Refused { message }),
        }
    }
}

impl Shared {
    /// Sends a command and waits for its reply, or for the driver's word why it failed.
    pub(crate) async fn call(&self, mut command: Value) -> Result<Value, String> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        if let Some(fields) = command.as_object_mut() {
            fields.insert("id".to_owned(), json!(id));
        }
        let (reply, replied) = oneshot::channel();
        self.replies.lock().expect("no holder panics").insert(id, reply);
        self.commands.send(command.to_string()).await.expect("the driver runs");
        let reply = timeout(PATIENCE * 2, replied)
            .await
            .unwrap_or_else(|_| panic!("the driver did not reply to {command}"))
            .unwrap_or_else(|_| panic!("the driver ended at {command}"));
        if reply.get("ok") == Some(&Value::Bool(true)) {
            Ok(reply)
        } else {
            Err(reply.get("error").and_then(Value::as_str).unwrap_or("no reason").to_owned())
        }
    }

    /// What a client has seen so far.
    pub(crate) fn observations_of(&self, client: &str) -> Vec<Observation> {
        let observations = self.observations.lock().expect("no holder panics");
        observations.get(client).cloned().unwrap_or_default()
    }

    /// Looks at what a client has seen so far.
    pub(crate) fn look_at<T>(&self, client: &str, look: impl FnOnce(&[Observation]) -> T) -> T {
        let observations = self.observations.lock().expect("no holder panics");
        look(observations.get(client).map_or(&[][..], Vec::as_slice))
    }

    /// Looks at what a client has seen, now and whenever it has seen more, until `find` is content.
    pub(crate) async fn await_observation<T>(
        &self,
        client: &str,
        mut find: impl FnMut(&[Observation]) -> Option<T>,
    ) -> Option<T> {
        let mut changes = self.changed.subscribe();
        let found = async {
            loop {
                changes.borrow_and_update();
                {
                    let observations = self.observations.lock().expect("no holder panics");
                    let seen = observations.get(client).map_or(&[][..], Vec::as_slice);
                    if let Some(found) = find(seen) {
                        return found;
                    }
                }
                changes.changed().await.expect("the sender is in self");
            }
        };
        timeout(PATIENCE, found).await.ok()
    }

    fn take_line(&self, line: &str) {
        let value: Value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("the driver wrote {line:?}: {error}"));
        if let Some(id) = value.get("id").and_then(Value::as_u64) {
            let waiting = self.replies.lock().expect("no holder panics").remove(&id);
            if let Some(waiting) = waiting {
                waiting.send(value).ok(); // whoever asked may have given up
            }
        } else if let Some((client, observation)) = Observation::parse(&value) {
            let mut observations = self.observations.lock().expect("no holder panics");
            observations.entry(client).or_default().push(observation);
            drop(observations);
            self.changed.send_modify(|count| *count += 1);
        } else {
            panic!("the driver wrote {line:?}");
        }
    }
}

async fn write_commands(mut queue: mpsc::Receiver<String>, mut input: ChildStdin) {
    while let Some(mut line) = queue.recv().await {
        line.push('\n');
        if input.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_lines(shared: Arc<Shared>, mut lines: Lines<BufReader<ChildStdout>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        shared.take_line(&line);
    }
    // Whoever still waits for a reply is told that none will come.
    shared.replies.lock().expect("no holder panics").clear();
}

fn command(library: Library) -> Command {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let (program, script) = match library {
        Library::JavaScript2 | Library::JavaScript3 | Library::JavaScript4 => {
            (PathBuf::from("node"), clients.join("node/driver.mjs"))
        }
        Library::Python => (python(), clients.join("python/driver.py")),
    };
    let mut command = Command::new(program);
    command.arg(script);
    command
}

/// The Python of `tools/setup`; `GAME_REALTIME_E2E_PYTHON` names another.
pub(crate) fn python() -> PathBuf {
    env::var_os("GAME_REALTIME_E2E_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/venv/bin/python"),
        PathBuf::from,
    )
}
