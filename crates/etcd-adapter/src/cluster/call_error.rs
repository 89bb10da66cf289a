//! Why a call to etcd failed.

use std::{sync::Arc, time::Duration};

use game_realtime_application::ports::StoreError;

use super::{refusal::Refusal, tls::TlsFileError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Etcd(#[from] etcd_client::Error),
    /// The node got no token. Shared by all calls that waited for it.
    #[error(transparent)]
    NoToken(#[from] Arc<etcd_client::Error>),
    #[error(transparent)]
    Tls(#[from] TlsFileError),
    #[error("etcd did not answer within {0:?}")]
    TimedOut(Duration),
}

impl CallError {
    /// What that means.
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::Etcd(error) => Refusal::of(error),
            Self::NoToken(error) => Refusal::of(error),
            // The next connection reads the files again.
            Self::TimedOut(_) | Self::Tls(_) => Refusal::Member,
        }
    }

    /// Whether a lease that the call names is gone. Then nothing was done.
    pub(crate) fn is_lease_not_found(&self) -> bool {
        self.refusal() == Refusal::LeaseGone
    }

    /// Whether what was asked for is from before the last compaction.
    pub(crate) fn is_compacted(&self) -> bool {
        self.refusal() == Refusal::Compacted
    }

    /// Whether the node's user may not do this.
    pub(crate) fn is_denied(&self) -> bool {
        self.refusal() == Refusal::Denied
    }
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        Self::unavailable(error)
    }
}
