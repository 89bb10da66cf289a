//! The port to whoever can say which player a client is.

use std::net::IpAddr;

use async_trait::async_trait;
use game_realtime_domain::{Timestamp, UserId};

/// Says who a client is, by what it presents.
#[async_trait]
pub trait IdentityVerifier: Send + Sync {
    /// The names of the request headers it needs to see, in lower case. A transport need not keep
    /// any other.
    fn headers(&self) -> &[String];

    /// Identifies a client.
    ///
    /// # Errors
    /// - MUST return [`VerifyError::Refused`] if the credentials are missing, wrong, expired or
    ///   contradict each other.
    /// - MUST return [`VerifyError::Unavailable`] if it cannot tell now.
    async fn verify(
        &self,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<Identity, VerifyError>;
}

/// What a client presents.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The token of the connect payload.
    pub token: Option<String>,
    /// The values of the headers that the verifier asked for, by lower-case name, in order. As they came:
    /// what is no text must not become somebody's.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The other end of the TCP connection.
    pub peer: Option<IpAddr>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credentials").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// A client that was identified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The player.
    pub user_id: UserId,
    /// Until when this holds, if it ends.
    pub expires_at: Option<Timestamp>,
}

/// Why an identity was refused, for logs and metrics. The client learns only that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedIdentity {
    /// Nothing was presented.
    Missing,
    /// What was presented is malformed or does not verify.
    Invalid,
    /// It was valid once.
    Expired,
    /// It will be valid later.
    NotYetValid,
    /// Several credentials were presented and they differ.
    Contradictory,
}

impl RefusedIdentity {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Contradictory => "contradictory",
        }
    }
}

/// A client was not identified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is not who it would have to be.
    #[error("identity refused: {}", .0.as_str())]
    Refused(RefusedIdentity),
    /// The verifier cannot tell now.
    #[error("identity verifier unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
