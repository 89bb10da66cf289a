//! Who did what, in the log and in metrics. Never the token, never what an event says.

use std::net::IpAddr;

use game_realtime_application::{ports::StoreError, wire::ErrorCode};
use game_realtime_domain::{ConnectionId, EventId, UserId};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{answer::ApiAnswer, route::Operation};

/// What is known of a request, as it becomes known.
pub(crate) struct Audit {
    peer: IpAddr,
    started: Instant,
    pub(crate) operation: Operation,
    pub(crate) user_id: Option<UserId>,
    pub(crate) connection_id: Option<ConnectionId>,
    pub(crate) namespace: Option<&'static str>,
    pub(crate) event_type: Option<&'static str>,
    pub(crate) event_id: Option<EventId>,
    /// How many connections an order concerned.
    pub(crate) connections: Option<u64>,
    cause: Option<String>,
}

impl Audit {
    pub(crate) fn begin(peer: IpAddr) -> Self {
        Self {
            peer,
            started: Instant::now(),
            operation: Operation::Unknown,
            user_id: None,
            connection_id: None,
            namespace: None,
            event_type: None,
            event_id: None,
            connections: None,
            cause: None,
        }
    }

    /// Notes what the store said, which nobody is told but the log.
    pub(crate) fn failed(&mut self, error: &StoreError) -> ApiAnswer {
        self.cause = Some(error.source.to_string());
        error.into()
    }

    pub(crate) fn end(self, answer: &ApiAnswer) {
        let Self { peer, started, operation, .. } = self;
        let (action, outcome) = (operation.as_str(), answer.outcome);
        metrics::counter!(
            "game_realtime_admin_requests_total", "operation" => action, "outcome" => outcome
        )
        .increment(1);
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        // A macro, since a level is part of what tracing knows at compile time.
        macro_rules! log {
            ($level:ident) => {
                $level!(
                    %peer,
                    action,
                    outcome,
                    user.id = self.user_id.as_ref().map(UserId::as_str),
                    connection.id = self.connection_id.map(|id| id.to_string()),
                    namespace = self.namespace,
                    event.r#type = self.event_type,
                    event.id = self.event_id.map(|id| id.to_string()),
                    connections = self.connections,
                    cause = self.cause,
                    duration_ms,
                    "admin request"
                )
            };
        }
        let is_trouble = [ErrorCode::Unauthenticated, ErrorCode::Unavailable, ErrorCode::Internal]
            .map(ErrorCode::as_str)
            .contains(&outcome);
        if is_trouble {
            log!(warn);
        } else {
            log!(info);
        }
    }
}
