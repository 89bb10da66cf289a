//! Let a client in: identify it if its namespace asks for that, and register the connection.

use std::{net::IpAddr, sync::Arc};

use game_realtime_domain::{Connection, ConnectionId, Namespace, NodeId, Timestamp};

use crate::{
    limits::{Admission, Refusal, Seat},
    ports::{
        Clock, ConnectionRepository, Credentials, IdGenerator, IdentityVerifier, RefusedIdentity,
        StoreError, VerifyError,
    },
};

/// Identifies and registers connections of one node.
pub struct Connect {
    node_id: NodeId,
    admission: Arc<Admission>,
    verifier: Arc<dyn IdentityVerifier>,
    connections: Arc<dyn ConnectionRepository>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

/// A connection that was let in.
#[derive(Debug)]
pub struct Connected {
    /// The registered connection.
    pub connection: Connection,
    /// Until when its identity holds, if it ends.
    pub expires_at: Option<Timestamp>,
    /// Its place on this node, to be kept as long as the connection.
    pub seat: Seat,
}

/// A client was not let in. Nothing of it is in the registry.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There are too many connections already; of what, is for metrics.
    #[error("too many connections")]
    TooManyConnections(Refusal),
    /// The namespace asks for an identity and the client has none.
    #[error("identity refused: {}", .0.as_str())]
    Unauthenticated(RefusedIdentity),
    /// The identity cannot be verified now.
    #[error("identity verifier unavailable")]
    VerifierUnavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection cannot be registered now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Connect {
    /// The use case on the node `node_id`.
    pub fn new(
        node_id: NodeId,
        admission: Arc<Admission>,
        verifier: Arc<dyn IdentityVerifier>,
        connections: Arc<dyn ConnectionRepository>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Self {
        Self { node_id, admission, verifier, connections, clock, ids }
    }

    /// The request headers that identification needs to see, in lower case.
    #[must_use]
    pub fn headers(&self) -> &[String] {
        self.verifier.headers()
    }

    /// Lets a client at `address` into a namespace. A guest's credentials are never looked at.
    ///
    /// # Errors
    /// [`ConnectError`]; then nothing of the client stays in the registry.
    pub async fn execute(
        &self,
        namespace: Namespace,
        credentials: &Credentials,
        address: IpAddr,
    ) -> Result<Connected, ConnectError> {
        let full = |refusal: Refusal| {
            refusal.count();
            ConnectError::TooManyConnections(refusal)
        };
        let mut seat = self.admission.enter(address).map_err(full)?;
        let now = self.clock.now();
        let identity = match namespace {
            Namespace::Guest => None,
            Namespace::Private => {
                Some(self.verifier.verify(credentials, now).await.map_err(|error| match error {
                    VerifyError::Refused(reason) => ConnectError::Unauthenticated(reason),
                    VerifyError::Unavailable(cause) => ConnectError::VerifierUnavailable(cause),
                })?)
            }
        };
        let (user_id, expires_at) =
            identity.map_or((None, None), |identity| (Some(identity.user_id), identity.expires_at));
        if let Some(user_id) = &user_id {
            seat.claim(user_id).map_err(full)?;
        }
        let connection = Connection {
            id: ConnectionId(self.ids.next(now)),
            namespace,
            user_id,
            node_id: self.node_id,
            connected_at: now,
        };
        if let Err(error) = self.connections.save(&connection).await {
            // It may have been saved all the same; what cannot be deleted now, the repository
            // deletes later.
            self.connections.delete(&connection).await.ok();
            return Err(ConnectError::Store(error));
        }
        Ok(Connected { connection, expires_at, seat })
    }
}
