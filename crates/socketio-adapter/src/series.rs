//! Makes the series of this transport visible at 0 before their first use, so that alerts see the
//! first increase and dashboards are not empty on a quiet node.

use game_realtime_application::{ports::CloseReason, wire::ErrorCode};
use game_realtime_domain::{EventType, Namespace};
use metrics::counter;
use socketioxide::socket::DisconnectReason;

use crate::session::reason_name;

/// Why a client may be refused.
const REFUSALS: [ErrorCode; 5] = [
    ErrorCode::Unauthenticated,
    ErrorCode::RateLimited,
    ErrorCode::TooManyConnections,
    ErrorCode::Unavailable,
    ErrorCode::Internal,
];

/// Why an event may fail.
const FAILURES: [ErrorCode; 6] = [
    ErrorCode::InvalidPayload,
    ErrorCode::Forbidden,
    ErrorCode::IdempotencyConflict,
    ErrorCode::RateLimited,
    ErrorCode::Unavailable,
    ErrorCode::Internal,
];

/// How connections end.
const CLOSINGS: [CloseReason; 10] = [
    CloseReason::Drain,
    CloseReason::SlowConsumer,
    CloseReason::HistoryLost,
    CloseReason::Isolated,
    CloseReason::Behind,
    CloseReason::Unregistered,
    CloseReason::TokenExpired,
    CloseReason::Abuse,
    CloseReason::Internal,
    CloseReason::Kicked,
];
const ENDS: [DisconnectReason; 4] = [
    DisconnectReason::TransportClose,
    DisconnectReason::TransportError,
    DisconnectReason::HeartbeatTimeout,
    DisconnectReason::ClientNSDisconnect,
];

pub(crate) fn register() {
    for namespace in Namespace::ALL.map(Namespace::as_str) {
        for outcome in ["accepted"].into_iter().chain(REFUSALS.map(ErrorCode::as_str)) {
            counter!("game_realtime_connects_total", "namespace" => namespace, "outcome" => outcome)
                .absolute(0);
        }
        let ends = ENDS.into_iter().map(|reason| reason_name(Some(reason)));
        for reason in CLOSINGS.map(CloseReason::as_str).into_iter().chain(ends) {
            counter!("game_realtime_disconnects_total", "namespace" => namespace, "reason" => reason)
                .absolute(0);
        }
    }
    for event_type in EventType::ALL.map(EventType::as_str) {
        let failures = FAILURES.map(ErrorCode::as_str);
        for outcome in ["committed", "duplicate"].into_iter().chain(failures) {
            counter!("game_realtime_events_total", "type" => event_type, "outcome" => outcome)
                .absolute(0);
        }
    }
}
