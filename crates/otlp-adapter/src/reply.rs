//! What a collector says to spans, and what follows from it.

use std::error::Error as _;

use tonic::{Code, Status};

/// The collector did not take spans.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct ExportError {
    code: Code,
    message: String,
    /// Whether it may take them later.
    pub(crate) is_temporary: bool,
}

impl ExportError {
    /// It did not answer in time.
    pub(crate) fn timed_out() -> Self {
        Self {
            code: Code::DeadlineExceeded,
            message: "no answer in time".to_owned(),
            is_temporary: true,
        }
    }
}

impl From<Status> for ExportError {
    fn from(status: Status) -> Self {
        // Only a failure on our side of the connection has a cause.
        let cause = status.source().map(innermost);
        Self {
            code: status.code(),
            is_temporary: cause.is_some() || is_temporary(status.code()),
            message: cause.unwrap_or_else(|| status.message().to_owned()),
        }
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// What the specification of OTLP calls retryable. (Without a time to wait, which we do not look
/// for, an exhausted resource is not.)
fn is_temporary(code: Code) -> bool {
    match code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::Ok
        | Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::Internal
        | Code::Unauthenticated => false,
    }
}
