//! A collector of traces: a process that speaks OTLP over gRPC with the official Python packages.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};

use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::watch,
    time::timeout,
};

use crate::{PATIENCE, certificates::Certificates, driver::python};

/// A running collector. Killed when dropped.
pub struct Collector {
    endpoint: String,
    requests: Arc<Mutex<Vec<Request>>>,
    changed: watch::Receiver<usize>,
    // The process ends with its standard input.
    _input: ChildStdin,
    _process: Child,
}

/// What a node sent at once.
#[derive(Debug, Clone, Deserialize)]
struct Request {
    raw: String,
    spans: Vec<TracedSpan>,
}

/// A span as the collector got it. Ids are hexadecimal.
#[derive(Debug, Clone, Deserialize)]
pub struct TracedSpan {
    /// Whose it is.
    pub resource: BTreeMap<String, Value>,
    /// What made it.
    pub scope: String,
    /// Its trace.
    pub trace_id: String,
    /// Itself.
    pub span_id: String,
    /// The span that it is a part of; empty if of none.
    pub parent: String,
    /// `SpanFlags` of the protocol.
    pub flags: u32,
    /// Which step it is.
    pub name: String,
    /// Its part.
    pub kind: String,
    /// When it began, in nanoseconds since 1970.
    pub start: u64,
    /// When it ended.
    pub end: u64,
    /// What is known of it.
    pub attributes: BTreeMap<String, Value>,
    /// Trace and span of what it has to do with.
    pub links: Vec<(String, String)>,
    /// Why it failed.
    pub failure: Option<String>,
}

impl Collector {
    /// Starts a collector that takes everything.
    pub async fn start() -> Self {
        Self::launch("http", &[""; 0]).await
    }

    /// Starts a collector that speaks TLS, with the certificate of `server`.
    pub async fn start_with_tls(certificates: &Certificates) -> Self {
        let (certificate, key) = certificates.of("server");
        Self::launch("https", &[certificate, key]).await
    }

    /// Starts a collector that refuses everything, with the name of a gRPC code.
    pub async fn start_refusing(code: &str) -> Self {
        Self::launch("http", &[code]).await
    }

    async fn launch(scheme: &str, arguments: &[impl AsRef<OsStr>]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("collector/collector.py");
        let mut process = Command::new(python())
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the collector starts (tools/setup installs it)");
        let input = process.stdin.take().expect("stdin is piped");
        let output = process.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(output).lines();
        let first = timeout(PATIENCE, lines.next_line()).await.expect("the collector starts");
        let first = first.ok().flatten().expect("the collector says its port");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (change, changed) = watch::channel(0);
        let taken = Arc::clone(&requests);
        // Ends with the process.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let request: Request = serde_json::from_str(&line)
                    .unwrap_or_else(|error| panic!("the collector wrote {line:?}: {error}"));
                taken.lock().expect("no holder panics").push(request);
                change.send_modify(|count| *count += 1);
            }
        });
        let port: u16 = first.parse().expect("a port");
        let endpoint = format!("{scheme}://127.0.0.1:{port}");
        Self { endpoint, requests, changed, _input: input, _process: process }
    }

    /// Where it is: `telemetry.traces.endpoint`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// All spans it has got.
    ///
    /// # Panics
    /// Never: whoever holds the lock does not panic.
    #[must_use]
    pub fn spans(&self) -> Vec<TracedSpan> {
        let requests = self.requests.lock().expect("no holder panics");
        requests.iter().flat_map(|request| request.spans.clone()).collect()
    }

    /// All bytes it has got, as Latin-1.
    ///
    /// # Panics
    /// Never: whoever holds the lock does not panic.
    #[must_use]
    pub fn raw(&self) -> String {
        let requests = self.requests.lock().expect("no holder panics");
        requests.iter().map(|request| request.raw.as_str()).collect()
    }

    /// Waits until `find` is content with the spans.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn await_spans<T>(&self, find: impl Fn(&[TracedSpan]) -> Option<T>) -> T {
        let mut changed = self.changed.clone();
        let found = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = find(&self.spans()) {
                    return found;
                }
                changed.changed().await.expect("the collector runs");
            }
        };
        match timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!("the collector has only {:#?}", self.spans()),
        }
    }
}

impl TracedSpan {
    /// An attribute that is a text.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        let value = self.attributes.get(name).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("{name} is no text of {self:?}"))
    }

    /// An attribute that is a number.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        let value = self.attributes.get(name).and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("{name} is no number of {self:?}"))
    }

    /// The id of the node whose it is.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn node(&self) -> &str {
        let value = self.resource.get("node.id").and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("{self:?} has no node"))
    }
}
