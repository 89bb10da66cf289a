//! The way to etcd: every call with a deadline of our own (the client's does not cover the time in
//! which it reconnects), to one member of the cluster at a time.
//!
//! The client could balance calls over all members, but it would go on sending every n-th to one that
//! takes connections and answers nothing. So the node talks to one member, which is connected when it
//! is first needed, and to the next one as soon as a call to it was not answered.

mod call_error;
mod refusal;
mod session;
mod tls;

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use etcd_client::{
    Client, CompactionOptions, ConnectOptions, KvClient, LeaseClient, StatusResponse, WatchClient,
};
use game_realtime_domain::NodeId;
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};
use tracing::info;

pub(crate) use self::call_error::CallError;
pub use self::tls::TlsFileError;
use self::{
    refusal::Refusal,
    session::{Credentials, Session},
    tls::TlsFiles,
};
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

/// An etcd cluster, as one node talks to it.
pub(crate) struct Cluster {
    endpoints: Vec<String>,
    options: ConnectOptions,
    /// Read again for every connection: certificates are replaced under a running node.
    tls: Option<TlsFiles>,
    credentials: Option<Credentials>,
    request_timeout: Duration,
    member: Mutex<Arc<Member>>,
    space: Space,
}

/// A member of the cluster, for as long as the node talks to it.
pub(crate) struct Member {
    /// Which of the endpoints it is.
    endpoint: usize,
    since: Instant,
    session: OnceCell<Session>,
}

impl Member {
    fn new(endpoint: usize) -> Arc<Self> {
        Arc::new(Self { endpoint, since: Instant::now(), session: OnceCell::new() })
    }
}

impl Cluster {
    /// Reads the files that the configuration names; does not connect yet. Different nodes begin with
    /// different members.
    pub(crate) fn new(config: &Config, node_id: NodeId) -> Result<Self, TlsFileError> {
        let options = ConnectOptions::new()
            .with_connect_timeout(config.dial_timeout)
            .with_keep_alive(PROBE_INTERVAL, PROBE_TIMEOUT)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        let credentials = (!config.username.is_empty()).then(|| Credentials {
            username: config.username.clone(),
            password: config.password.clone(),
            is_off: AtomicBool::new(false),
        });
        let is_tls = config.endpoints.iter().any(|endpoint| endpoint.starts_with("https://"));
        let tls = is_tls.then(|| TlsFiles(config.tls.clone()));
        if let Some(files) = &tls {
            files.read()?;
        }
        let endpoints = config.endpoints.clone();
        let spread = usize::from(node_id.0.as_bytes()[0]);
        let first = Member::new(spread.checked_rem(endpoints.len()).unwrap_or_default());
        Ok(Self {
            endpoints,
            options,
            tls,
            credentials,
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
    pub(crate) async fn kv<T, F>(
        &self,
        call: impl FnOnce(KvClient) -> F + Clone,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let call =
            |client: &Client| call(client.kv_client().max_decoding_message_size(MESSAGE_BYTES));
        self.call(&self.member(), self.request_timeout, call).await
    }

    /// Calls the lease service.
    pub(crate) async fn lease<T, F>(
        &self,
        call: impl FnOnce(LeaseClient) -> F + Clone,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        self.call(&self.member(), self.request_timeout, |client| call(client.lease_client())).await
    }

    /// Calls the watch service, and says at which member.
    pub(crate) async fn watch<T, F>(
        &self,
        call: impl FnOnce(WatchClient) -> F + Clone,
    ) -> Result<(T, Arc<Member>), CallError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let member = self.member();
        let call =
            |client: &Client| call(client.watch_client().max_decoding_message_size(MESSAGE_BYTES));
        let watch = self.call(&member, self.request_timeout, call).await?;
        Ok((watch, member))
    }

    /// What the member says about itself.
    pub(crate) async fn status(&self) -> Result<StatusResponse, CallError> {
        let call = |client: &Client| {
            let mut maintenance = client.maintenance_client();
            async move { maintenance.status().await }
        };
        self.call(&self.member(), self.request_timeout, call).await
    }

    /// Compacts the history up to a revision and waits until its space is free, which takes longer
    /// than other calls may: nobody but the housekeeper waits for it.
    pub(crate) async fn compact(&self, revision: i64) -> Result<(), CallError> {
        let call = |client: &Client| {
            let options = CompactionOptions::new().with_physical();
            let mut kv = client.kv_client();
            async move { kv.compact(revision, Some(options)).await }
        };
        self.call(&self.member(), COMPACTION_TIMEOUT, call).await?;
        Ok(())
    }

    async fn call<T, F>(
        &self,
        member: &Arc<Member>,
        limit: Duration,
        call: impl FnOnce(&Client) -> F + Clone,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let answer = timeout(limit, self.answer(member, call)).await;
        let answer = answer.unwrap_or(Err(CallError::TimedOut(limit)));
        if let Err(error) = &answer {
            self.refused(member, error.refusal());
        }
        answer
    }

    /// Has a call answered, with another token if etcd does not accept the one there is.
    async fn answer<T, F>(
        &self,
        member: &Member,
        call: impl FnOnce(&Client) -> F + Clone,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let session = self.session(member).await?;
        let Some(credentials) = &self.credentials else {
            return Ok(call(&session.client).await?);
        };
        let attempts = session.attempts();
        if session.is_stale() {
            session.renew(credentials, attempts).await?;
        }
        let attempts = session.attempts();
        match call.clone()(&session.client).await {
            Err(error) if Refusal::of(&error) == Refusal::Token => {
                session.renew(credentials, attempts).await?;
                Ok(call(&session.client).await?)
            }
            answer => Ok(answer?),
        }
    }

    async fn session<'a>(&self, member: &'a Member) -> Result<&'a Session, CallError> {
        let connect = || async {
            let endpoint =
                self.endpoints.get(member.endpoint).map(String::as_str).unwrap_or_default();
            let mut options = self.options.clone();
            if let Some(files) = &self.tls {
                options = options.with_tls(files.read()?);
            }
            Ok(Session::new(Client::connect([endpoint], Some(options)).await?))
        };
        member.session.get_or_try_init(connect).await
    }

    /// Notes why a member did not do what it was asked, in a call or on a watch.
    pub(crate) fn refused(&self, member: &Arc<Member>, refusal: Refusal) {
        match refusal {
            Refusal::Space => self.space.refused(),
            Refusal::Member => self.leave(member),
            Refusal::Token => {
                if let Some(session) = member.session.get() {
                    session.distrust();
                }
            }
            Refusal::AuthenticationOff
            | Refusal::Denied
            | Refusal::Compacted
            | Refusal::LeaseGone
            | Refusal::Corrupt
            | Refusal::Request => {}
        }
    }

    /// Notes that a member cancelled a watch.
    pub(crate) fn cancelled(&self, member: &Arc<Member>, reason: &str) {
        self.refused(member, Refusal::of_cancelled_watch(reason));
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
