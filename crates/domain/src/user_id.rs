//! Who a player is, as the identity provider names them.

use alloc::string::String;
use core::fmt;

/// The identifier of a player: 1 to 128 characters, none of them a control character.
///
/// Two ids are the same user only when they are equal character for character; nothing is
/// trimmed or folded.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String")]
pub struct UserId(String);

impl UserId {
    /// The longest user id, in characters.
    pub const MAX_CHARS: usize = 128;

    /// Checks and takes a user id.
    ///
    /// # Errors
    /// [`InvalidUserId`] when it is empty, too long or contains a control character.
    pub fn parse(id: impl Into<String>) -> Result<Self, InvalidUserId> {
        let id = id.into();
        let length = id.chars().count();
        if (1..=Self::MAX_CHARS).contains(&length) && !id.chars().any(char::is_control) {
            Ok(Self(id))
        } else {
            Err(InvalidUserId)
        }
    }

    /// The id as the identity provider wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for UserId {
    type Error = InvalidUserId;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        Self::parse(id)
    }
}

/// The text cannot be a user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to 128 characters and no control characters")]
pub struct InvalidUserId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_has_1_to_128_characters_and_no_control_characters() {
        assert!(UserId::parse("alice").is_ok());
        assert!(UserId::parse("é".repeat(128)).is_ok());
        for invalid in ["", "a\nb", "\u{7f}", &"x".repeat(129)] {
            assert_eq!(UserId::parse(invalid), Err(InvalidUserId), "{invalid:?}");
        }
    }
}
