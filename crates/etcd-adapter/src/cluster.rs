//! The way to etcd: every call with a deadline of our own (the client's does not cover the time in
//! which it reconnects), to one member of the cluster at a time.
//!
//! The client could balance calls over all members, but it would go on sending every n-th to one that
//! takes connections and answers nothing. So the node talks to one member, which is connected when it
//! is first needed, and to the next one as soon as a call to it was not answered.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use etcd_client::{
    Certificate, Client, CompactionOptions, ConnectOptions, Identity, KvClient, LeaseClient,
    StatusResponse, TlsOptions, WatchClient,
};
use game_realtime_application::ports::StoreError;
use game_realtime_domain::NodeId;
use secrecy::ExposeSecret;
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};
use tracing::info;

use crate::{config::Config, space::Space};

/// Largest message taken from etcd, in bytes. A watch that catches up gets megabytes at once.
const MESSAGE_BYTES: usize = 256 << 20;
/// How often an idle connection is probed. etcd drops clients that probe more often than every 5 s.
const PROBE_INTERVAL: Duration = Duration::from_secs(6);
/// How long the answer to a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// A member is given so much time before the next one is tried: while none answers, nodes do not
/// open connections all the time.
const SHORTEST_STAY: Duration = Duration::from_millis(500);

/// How long a compaction may take: some 15 s for each million keys (etcd 3.5).
const COMPACTION_TIMEOUT: Duration = Duration::from_secs(600);

/// The gRPC status codes of calls that may have got no answer: cancelled, unknown, deadline exceeded,
/// unavailable (<https://grpc.io/docs/guides/status-codes/>).
const UNANSWERED: [i32; 4] = [1, 2, 4, 14];

/// An etcd cluster, as one node talks to it.
pub(crate) struct Cluster {
    endpoints: Vec<String>,
    options: ConnectOptions,
    request_timeout: Duration,
    member: Mutex<Arc<Member>>,
    space: Space,
}

/// A member of the cluster, for as long as the node talks to it.
pub(crate) struct Member {
    /// Which of the endpoints it is.
    endpoint: usize,
    since: Instant,
    client: OnceCell<Client>,
}

impl Member {
    fn new(endpoint: usize) -> Arc<Self> {
        Arc::new(Self { endpoint, since: Instant::now(), client: OnceCell::new() })
    }
}

/// The `etcd` section cannot be used as it is.
#[derive(Debug, thiserror::Error)]
#[error("etcd.tls: {path}: {source}")]
pub struct TlsFileError {
    path: String,
    source: std::io::Error,
}

/// etcd did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("etcd did not answer within {0:?}")]
struct TimedOut(Duration);

impl Cluster {
    /// Reads the files that the configuration names; does not connect yet. Different nodes begin with
    /// different members.
    pub(crate) fn new(config: &Config, node_id: NodeId) -> Result<Self, TlsFileError> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(config.dial_timeout)
            .with_keep_alive(PROBE_INTERVAL, PROBE_TIMEOUT)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if !config.username.is_empty() {
            options = options
                .with_user(config.username.clone(), config.password.expose_secret())
                .with_auto_token_refresh(true);
        }
        if config.endpoints.iter().any(|endpoint| endpoint.starts_with("https://")) {
            options = options.with_tls(tls_options(config)?);
        }
        let endpoints = config.endpoints.clone();
        let spread = usize::from(node_id.0.as_bytes()[0]);
        let first = Member::new(spread.checked_rem(endpoints.len()).unwrap_or_default());
        Ok(Self {
            endpoints,
            options,
            request_timeout: config.request_timeout,
            member: Mutex::new(first),
            space: Space::default(),
        })
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Whether etcd has room.
    pub(crate) fn space(&self) -> &Space {
        &self.space
    }

    /// Calls the key-value service.
    pub(crate) async fn kv<T, F>(&self, call: impl FnOnce(KvClient) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let call =
            |client: &Client| call(client.kv_client().max_decoding_message_size(MESSAGE_BYTES));
        self.call(&self.member(), call).await
    }

    /// Calls the lease service.
    pub(crate) async fn lease<T, F>(
        &self,
        call: impl FnOnce(LeaseClient) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        self.call(&self.member(), |client| call(client.lease_client())).await
    }

    /// Calls the watch service, and says at which member.
    pub(crate) async fn watch<T, F>(
        &self,
        call: impl FnOnce(WatchClient) -> F,
    ) -> Result<(T, Arc<Member>), CallError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let member = self.member();
        let call =
            |client: &Client| call(client.watch_client().max_decoding_message_size(MESSAGE_BYTES));
        let watch = self.call(&member, call).await?;
        Ok((watch, member))
    }

    /// What the member says about itself.
    pub(crate) async fn status(&self) -> Result<StatusResponse, CallError> {
        let call = |client: &Client| {
            let mut maintenance = client.maintenance_client();
            async move { maintenance.status().await }
        };
        self.call(&self.member(), call).await
    }

    /// Compacts the history up to a revision and waits until its space is free, which takes longer
    /// than other calls may: nobody but the housekeeper waits for it.
    pub(crate) async fn compact(&self, revision: i64) -> Result<(), CallError> {
        let member = self.member();
        let compacted = async {
            let options = CompactionOptions::new().with_physical();
            let mut kv = self.client(&member).await?.kv_client();
            kv.compact(revision, Some(options)).await
        };
        match timeout(COMPACTION_TIMEOUT, compacted).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(CallError::Etcd(error)),
            Err(_elapsed) => Err(CallError::TimedOut(COMPACTION_TIMEOUT)),
        }
    }

    async fn call<T, F>(
        &self,
        member: &Arc<Member>,
        call: impl FnOnce(&Client) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let called = async { call(self.client(member).await?).await };
        let error = match timeout(self.request_timeout, called).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => CallError::Etcd(error),
            Err(_elapsed) => CallError::TimedOut(self.request_timeout),
        };
        if error.is_no_space() {
            self.space.refused();
        }
        if error.may_be_the_members() {
            self.leave(member);
        }
        Err(error)
    }

    async fn client<'a>(&self, member: &'a Member) -> Result<&'a Client, etcd_client::Error> {
        let endpoint = self.endpoints.get(member.endpoint).map(String::as_str).unwrap_or_default();
        let connect = || Client::connect([endpoint], Some(self.options.clone()));
        member.client.get_or_try_init(connect).await
    }

    fn member(&self) -> Arc<Member> {
        Arc::clone(&self.current())
    }

    fn current(&self) -> MutexGuard<'_, Arc<Member>> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Talks to the next member from now on, unless it does already or has just begun with this one.
    /// What is under way at this one goes on.
    pub(crate) fn leave(&self, member: &Arc<Member>) {
        let next = (member.endpoint + 1).checked_rem(self.endpoints.len()).unwrap_or_default();
        let mut current = self.current();
        if !Arc::ptr_eq(&current, member) || member.since.elapsed() < SHORTEST_STAY {
            return;
        }
        *current = Member::new(next);
        drop(current);
        if next != member.endpoint {
            info!(endpoint = self.endpoints.get(next), "going on with the next member of etcd");
        }
    }
}

/// A call failed.
#[derive(Debug)]
pub(crate) enum CallError {
    Etcd(etcd_client::Error),
    TimedOut(Duration),
}

impl CallError {
    /// Whether another member might have answered.
    fn may_be_the_members(&self) -> bool {
        use etcd_client::Error;
        match self {
            Self::TimedOut(_) | Self::Etcd(Error::TransportError(_) | Error::IoError(_)) => true,
            Self::Etcd(Error::GRpcStatus(status)) => UNANSWERED.contains(&i32::from(status.code())),
            Self::Etcd(_) => false,
        }
    }

    /// Whether etcd refused the call because a lease it names is gone. Then nothing was done.
    pub(crate) fn is_lease_not_found(&self) -> bool {
        self.says("requested lease not found")
    }

    /// Whether what was asked for is from before the last compaction.
    pub(crate) fn is_compacted(&self) -> bool {
        self.says("required revision has been compacted")
    }

    /// Whether etcd refused to store more. The write that used up the last room happened
    /// nevertheless.
    pub(crate) fn is_no_space(&self) -> bool {
        self.says("database space exceeded")
    }

    fn says(&self, what: &str) -> bool {
        match self {
            Self::Etcd(etcd_client::Error::GRpcStatus(status)) => status.message().contains(what),
            Self::Etcd(_) | Self::TimedOut(_) => false,
        }
    }
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Etcd(error) => Self::unavailable(error),
            CallError::TimedOut(after) => Self::unavailable(TimedOut(after)),
        }
    }
}

fn tls_options(config: &Config) -> Result<TlsOptions, TlsFileError> {
    let read = |path: &std::path::Path| {
        std::fs::read(path)
            .map_err(|source| TlsFileError { path: path.display().to_string(), source })
    };
    let mut options = TlsOptions::new();
    options = match &config.tls.ca_file {
        Some(path) => options.ca_certificate(Certificate::from_pem(read(path)?)),
        // The authorities that the system knows. Without this the client knows none.
        None => options.with_native_roots(),
    };
    if let (Some(certificate), Some(key)) = (&config.tls.cert_file, &config.tls.key_file) {
        options = options.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(options)
}
