//! What the API answers: JSON with a status, also when it refuses.

use game_realtime_application::{
    ports::StoreError,
    wire::{Answer, ErrorCode, Failure, FieldFault},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

/// An answer on its way out.
#[derive(Debug)]
pub(crate) struct ApiAnswer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// `ok`, `duplicate` or the error code: for metrics and logs.
    pub(crate) outcome: &'static str,
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
}

/// What HTTP alone knows as a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such path.
    NotFound,
    /// The path has other methods: these.
    MethodNotAllowed(&'static str),
    /// The body is no JSON.
    UnsupportedMediaType,
    /// The body is larger than an event may be.
    PayloadTooLarge,
    /// The body did not come in time.
    TimedOut,
}

impl Refusal {
    const fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::PayloadTooLarge => "payload_too_large",
            Self::TimedOut => "request_timeout",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::NotFound => "there is nothing here",
            Self::MethodNotAllowed(_) => "not with this method",
            Self::UnsupportedMediaType => "send application/json",
            Self::PayloadTooLarge => "the body is too large",
            Self::TimedOut => "the body did not come in time",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

impl ApiAnswer {
    /// Says that something went well.
    pub(crate) fn ok(status: StatusCode, body: &impl Serialize) -> Self {
        // Text, numbers and lists of them always encode.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self { status, body, outcome: "ok", header: None }
    }

    /// What the API is.
    pub(crate) fn description(json: &[u8]) -> Self {
        Self { status: StatusCode::OK, body: json.to_vec(), outcome: "ok", header: None }
    }

    /// What became of an event, in the words that clients are told it in.
    pub(crate) fn to_event(answer: &Answer) -> Self {
        match answer {
            Answer::Committed { appended, .. } => {
                let outcome = if appended.duplicate { "duplicate" } else { "ok" };
                Self { outcome, ..Self::ok(StatusCode::OK, answer) }
            }
            Answer::Failed(failure) => failure.clone().into(),
        }
    }
}

impl From<Failure> for ApiAnswer {
    fn from(failure: Failure) -> Self {
        let code = failure.code;
        let header = match code {
            ErrorCode::Unauthenticated => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            ErrorCode::RateLimited | ErrorCode::TooManyConnections | ErrorCode::Unavailable => {
                Some((header::RETRY_AFTER, HeaderValue::from_static("1")))
            }
            ErrorCode::InvalidPayload
            | ErrorCode::Forbidden
            | ErrorCode::IdempotencyConflict
            | ErrorCode::Internal => None,
        };
        let answer = Self::ok(status(code), &Answer::Failed(failure));
        Self { outcome: code.as_str(), header, ..answer }
    }
}

impl From<Vec<FieldFault>> for ApiAnswer {
    fn from(faults: Vec<FieldFault>) -> Self {
        Failure::invalid(faults).into()
    }
}

impl From<ErrorCode> for ApiAnswer {
    fn from(code: ErrorCode) -> Self {
        Failure::of(code).into()
    }
}

impl From<&StoreError> for ApiAnswer {
    fn from(error: &StoreError) -> Self {
        ErrorCode::from(error).into()
    }
}

impl From<Refusal> for ApiAnswer {
    fn from(refusal: Refusal) -> Self {
        #[derive(Serialize)]
        struct Refused {
            status: &'static str,
            error: RefusedError,
        }
        #[derive(Serialize)]
        struct RefusedError {
            code: &'static str,
            message: &'static str,
            retryable: bool,
        }
        let header = match refusal {
            Refusal::MethodNotAllowed(allow) => {
                Some((header::ALLOW, HeaderValue::from_static(allow)))
            }
            Refusal::NotFound
            | Refusal::UnsupportedMediaType
            | Refusal::PayloadTooLarge
            | Refusal::TimedOut => None,
        };
        let error = RefusedError {
            code: refusal.code(),
            message: refusal.message(),
            retryable: refusal == Refusal::TimedOut,
        };
        let answer = Self::ok(refusal.status(), &Refused { status: "error", error });
        Self { outcome: refusal.code(), header, ..answer }
    }
}

const fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidPayload => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::IdempotencyConflict => StatusCode::CONFLICT,
        ErrorCode::RateLimited | ErrorCode::TooManyConnections => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
