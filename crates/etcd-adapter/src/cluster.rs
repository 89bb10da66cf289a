//! The connection to etcd: opened when it is first needed, and every call with a deadline of our
//! own (the client's does not cover the time in which it reconnects).

use std::{future::Future, time::Duration};

use etcd_client::{
    Certificate, Client, ConnectOptions, Identity, KvClient, LeaseClient, TlsOptions, WatchClient,
};
use game_realtime_application::ports::StoreError;
use secrecy::ExposeSecret;
use tokio::{sync::OnceCell, time::timeout};

use crate::{config::Config, space::Space};

/// Largest message taken from etcd, in bytes. A watch that catches up gets megabytes at once.
const MESSAGE_BYTES: usize = 256 << 20;
/// How often an idle connection is probed. etcd drops clients that probe more often than every 5 s.
const PROBE_INTERVAL: Duration = Duration::from_secs(6);
/// How long the answer to a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// An etcd cluster, as one node talks to it.
pub(crate) struct Cluster {
    endpoints: Vec<String>,
    options: ConnectOptions,
    request_timeout: Duration,
    client: OnceCell<Client>,
    space: Space,
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
    /// Reads the files that the configuration names; does not connect yet.
    pub(crate) fn new(config: &Config) -> Result<Self, TlsFileError> {
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
        Ok(Self {
            endpoints: config.endpoints.clone(),
            options,
            request_timeout: config.request_timeout,
            client: OnceCell::new(),
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

    async fn client(&self) -> Result<&Client, etcd_client::Error> {
        self.client
            .get_or_try_init(|| Client::connect(&self.endpoints, Some(self.options.clone())))
            .await
    }

    /// Calls the key-value service.
    pub(crate) async fn kv<T, F>(&self, call: impl FnOnce(KvClient) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        self.within(async {
            let client = self.client().await?.kv_client();
            call(client.max_decoding_message_size(MESSAGE_BYTES)).await
        })
        .await
    }

    /// Calls the lease service.
    pub(crate) async fn lease<T, F>(
        &self,
        call: impl FnOnce(LeaseClient) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        self.within(async { call(self.client().await?.lease_client()).await }).await
    }

    /// Calls the watch service.
    pub(crate) async fn watch<T, F>(
        &self,
        call: impl FnOnce(WatchClient) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        self.within(async {
            let client = self.client().await?.watch_client();
            call(client.max_decoding_message_size(MESSAGE_BYTES)).await
        })
        .await
    }

    async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, CallError> {
        let result = match timeout(self.request_timeout, call).await {
            Ok(result) => result.map_err(CallError::Etcd),
            Err(_elapsed) => Err(CallError::TimedOut(self.request_timeout)),
        };
        if result.as_ref().is_err_and(CallError::is_no_space) {
            self.space.refused();
        }
        result
    }
}

/// A call failed.
#[derive(Debug)]
pub(crate) enum CallError {
    Etcd(etcd_client::Error),
    TimedOut(Duration),
}

impl CallError {
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
    if let Some(path) = &config.tls.ca_file {
        options = options.ca_certificate(Certificate::from_pem(read(path)?));
    }
    if let (Some(certificate), Some(key)) = (&config.tls.cert_file, &config.tls.key_file) {
        options = options.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(options)
}
