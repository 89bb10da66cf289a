//! The error codes of the public contract. The only place that maps failures to codes.

use std::borrow::Cow;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    ports::{StoreError, StoreErrorKind},
    use_cases::{ConnectError, PublishError},
};

/// A code that clients can decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// Not one JSON object, or a missing, unknown, mistyped or out-of-range field.
    InvalidPayload,
    /// No, bad or expired identity.
    Unauthenticated,
    /// This client may not do that.
    Forbidden,
    /// The `request_id` was used with another payload.
    IdempotencyConflict,
    /// Over the connection's or user's budget.
    RateLimited,
    /// Over a connection cap.
    TooManyConnections,
    /// The store did not answer in time, or the node is draining.
    Unavailable,
    /// Anything else.
    Internal,
}

impl ErrorCode {
    /// The name that clients read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidPayload => "invalid_payload",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::RateLimited => "rate_limited",
            Self::TooManyConnections => "too_many_connections",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn retryable(self) -> bool {
        match self {
            Self::InvalidPayload
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::IdempotencyConflict => false,
            Self::RateLimited | Self::TooManyConnections | Self::Unavailable | Self::Internal => {
                true
            }
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::InvalidPayload => "invalid payload",
            Self::Unauthenticated => "a valid identity is required",
            Self::Forbidden => "this connection may not send this event",
            Self::IdempotencyConflict => "request_id was used with another payload",
            Self::RateLimited => "too many events, send more slowly",
            Self::TooManyConnections => "too many connections",
            Self::Unavailable => "the store cannot be reached now",
            Self::Internal => "internal error",
        }
    }
}

/// What is wrong with one field of a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldFault {
    /// The field; empty for the payload as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

/// A failure as a client sees it. Never carries a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What a client decides by.
    pub code: ErrorCode,
    /// What a person reads.
    pub message: Cow<'static, str>,
    /// Only for an invalid payload.
    pub fields: Option<Vec<FieldFault>>,
}

impl Failure {
    /// The failure that a code stands for.
    #[must_use]
    pub fn of(code: ErrorCode) -> Self {
        Self { code, message: code.message().into(), fields: None }
    }

    /// A payload with faults.
    #[must_use]
    pub fn invalid(fields: Vec<FieldFault>) -> Self {
        Self { fields: Some(fields), ..Self::of(ErrorCode::InvalidPayload) }
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut error = serializer.serialize_struct("Failure", 4)?;
        error.serialize_field("code", self.code.as_str())?;
        error.serialize_field("message", &self.message)?;
        error.serialize_field("retryable", &self.code.retryable())?;
        match &self.fields {
            Some(fields) => error.serialize_field("fields", fields)?,
            None => error.skip_field("fields")?,
        }
        error.end()
    }
}

impl From<&StoreError> for ErrorCode {
    fn from(error: &StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Unavailable => Self::Unavailable,
            StoreErrorKind::Corrupt => Self::Internal,
        }
    }
}

impl From<&PublishError> for ErrorCode {
    fn from(error: &PublishError) -> Self {
        match error {
            PublishError::Forbidden => Self::Forbidden,
            PublishError::RateLimited => Self::RateLimited,
            PublishError::IdempotencyConflict => Self::IdempotencyConflict,
            PublishError::Store(error) => error.into(),
            PublishError::Encode(_) => Self::Internal,
        }
    }
}

impl From<&ConnectError> for ErrorCode {
    fn from(error: &ConnectError) -> Self {
        match error {
            ConnectError::TooManyConnections(_) => Self::TooManyConnections,
            ConnectError::Unauthenticated(_) => Self::Unauthenticated,
            ConnectError::VerifierUnavailable(_) => Self::Unavailable,
            ConnectError::Store(error) => error.into(),
        }
    }
}
