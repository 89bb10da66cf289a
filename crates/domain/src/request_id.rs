//! The client's idempotency key.

use alloc::string::String;

/// An idempotency key chosen by a client: 1 to 64 characters, compared character for character.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String")]
pub struct RequestId(String);

impl RequestId {
    /// The longest request id, in characters.
    pub const MAX_CHARS: usize = 64;

    /// The key as the client wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RequestId {
    type Error = InvalidRequestId;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        if (1..=Self::MAX_CHARS).contains(&id.chars().count()) {
            Ok(Self(id))
        } else {
            Err(InvalidRequestId)
        }
    }
}

/// The text cannot be a request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to 64 characters")]
pub struct InvalidRequestId;
