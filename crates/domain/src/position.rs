//! Places in the one order of events, and the cursors by which clients name them.

use alloc::string::{String, ToString};
use core::{fmt, str::FromStr};

/// A place in the commit order of one store.
///
/// A store gives every event a position of its own, each greater than all before. Events that
/// were committed together share `revision` and differ in `index`. A position need not be that
/// of an event: `(r, 0)` lies before every event of revision `r`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Position {
    /// Which commit.
    pub revision: u64,
    /// Which event of it, from 1.
    pub index: u32,
}

impl Position {
    /// Before every event.
    pub const START: Self = Self { revision: 0, index: 0 };

    /// A position from its two parts.
    #[must_use]
    pub const fn new(revision: u64, index: u32) -> Self {
        Self { revision, index }
    }

    /// The position after every event of `revision` and before all later ones.
    #[must_use]
    pub const fn after_revision(revision: u64) -> Self {
        Self { revision: revision.saturating_add(1), index: 0 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.revision, self.index)
    }
}

/// The name of one store's history. Positions of different epochs cannot be compared: a store
/// that was emptied or replaced starts a new one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Epoch(String);

impl Epoch {
    /// The longest epoch, in characters.
    const MAX_CHARS: usize = 64;

    /// Checks and takes an epoch: 1 to 64 ASCII letters and digits.
    ///
    /// # Errors
    /// [`InvalidCursor`] otherwise.
    pub fn parse(epoch: impl Into<String>) -> Result<Self, InvalidCursor> {
        let epoch = epoch.into();
        let valid = (1..=Self::MAX_CHARS).contains(&epoch.len())
            && epoch.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if valid { Ok(Self(epoch)) } else { Err(InvalidCursor) }
    }

    /// The epoch as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a client remembers of how far it has come: `<epoch>:<revision>.<index>`. Opaque to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The history it belongs to.
    pub epoch: Epoch,
    /// How far the client has come.
    pub position: Position,
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.epoch.as_str(), self.position)
    }
}

/// The text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed cursor")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (epoch, position) = text.split_once(':').ok_or(InvalidCursor)?;
        let (revision, index) = position.split_once('.').ok_or(InvalidCursor)?;
        let cursor = Self {
            epoch: Epoch::parse(epoch)?,
            position: Position {
                revision: revision.parse().map_err(|_| InvalidCursor)?,
                index: index.parse().map_err(|_| InvalidCursor)?,
            },
        };
        // One position, one spelling: "+1" and "01" parse as numbers but were never ours.
        if cursor.to_string() == text { Ok(cursor) } else { Err(InvalidCursor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(revision: u64, index: u32, epoch in "[0-9a-zA-Z]{1,64}") {
            let cursor =
                Cursor { epoch: Epoch::parse(epoch)?, position: Position::new(revision, index) };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>()?, cursor);
        }

        #[test]
        fn no_text_is_a_cursor_but_its_own(text in ".{0,80}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }

    #[test]
    fn a_malformed_cursor_is_refused() {
        for text in [
            "",
            ":",
            "a",
            "a:",
            "a:1",
            "a:1.",
            "a:.1",
            "a:1.2.3",
            "a:-1.0",
            "a:+1.0",
            "a:01.0",
            "é:1.0",
            "a b:1.0",
            "a:18446744073709551616.0",
            "a:1.4294967296",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text:?}");
        }
    }

    #[test]
    fn a_position_after_a_revision_lies_between_its_events_and_the_next_ones() {
        let after = Position::after_revision(7);
        assert!(Position::new(7, u32::MAX) < after);
        assert!(after < Position::new(8, 1));
    }
}
