//! A member that the node talks to, and the token it knows the node by.
//!
//! etcd's tokens expire, are lost when a member restarts, and are refused once users or roles change;
//! authentication itself may be switched on and off under a running node. So a session gets a token
//! when etcd asks for one, and goes on without one as long as etcd wants none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use etcd_client::Client;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};
use tracing::info;

use super::refusal::Refusal;

/// Between two attempts to get a token: each costs etcd a tenth of a second of work.
const PAUSE: Duration = Duration::from_millis(250);

/// Who the node is for etcd.
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: SecretString,
    /// Whether etcd said last that it asks nobody for a token: said once, not at every attempt.
    pub(super) is_off: AtomicBool,
}

/// An open connection to a member.
pub(super) struct Session {
    pub(super) client: Client,
    last: Mutex<Attempt>,
    /// How many attempts to get a token were made.
    attempts: AtomicU64,
    /// Whether the next call has to get a token first.
    is_stale: AtomicBool,
}

/// The last attempt to get a token.
#[derive(Default)]
struct Attempt {
    ended_at: Option<Instant>,
    failure: Option<Arc<etcd_client::Error>>,
}

impl Session {
    pub(super) fn new(client: Client) -> Self {
        let (last, attempts) = (Mutex::default(), AtomicU64::new(0));
        Self { client, last, attempts, is_stale: AtomicBool::new(true) }
    }

    /// How many attempts to get a token were made until now.
    pub(super) fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Acquire)
    }

    /// Whether a call has to [renew](Self::renew) the token before it can hope for an answer.
    pub(super) fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Acquire)
    }

    /// Notes that etcd does not accept the token.
    pub(super) fn distrust(&self) {
        self.is_stale.store(true, Ordering::Release);
    }

    /// Gets a token, unless somebody has tried since the caller saw `attempts`: then the outcome is
    /// shared.
    pub(super) async fn renew(
        &self,
        credentials: &Credentials,
        attempts: u64,
    ) -> Result<(), Arc<etcd_client::Error>> {
        let mut last = self.last.lock().await;
        if self.attempts() == attempts {
            if let Some(ended_at) = last.ended_at {
                sleep_until(ended_at + PAUSE).await;
            }
            last.failure = self.authenticate(credentials).await.err().map(Arc::new);
            last.ended_at = Some(Instant::now());
            self.is_stale.store(last.failure.is_some(), Ordering::Release);
            self.attempts.fetch_add(1, Ordering::AcqRel);
        }
        last.failure.clone().map_or(Ok(()), Err)
    }

    async fn authenticate(&self, credentials: &Credentials) -> Result<(), etcd_client::Error> {
        let Credentials { username, password, is_off } = credentials;
        // The clients of its services share the token.
        let mut client = self.client.clone();
        let user = (username.clone(), password.expose_secret().to_owned());
        match client.update_user(Some(user)).await {
            Ok(()) => {
                if is_off.swap(false, Ordering::AcqRel) {
                    info!("etcd's authentication is on again, the node has a token");
                }
                Ok(())
            }
            Err(error) if Refusal::of(&error) == Refusal::AuthenticationOff => {
                if !is_off.swap(true, Ordering::AcqRel) {
                    info!("etcd's authentication is off, going on without a token");
                }
                client.update_user(None).await
            }
            Err(error) => Err(error),
        }
    }
}
