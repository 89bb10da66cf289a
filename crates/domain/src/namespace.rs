//! The two game namespaces: identified players and anonymous guests.

use core::fmt;

/// A game namespace. A connection belongs to exactly one for its whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Namespace {
    /// Identified players: every connection has a user id.
    Private,
    /// Anonymous visitors: no connection has a user id.
    Guest,
}

impl Namespace {
    /// Every namespace, in a fixed order.
    pub const ALL: [Self; 2] = [Self::Private, Self::Guest];

    /// The name used in URLs, keys, metrics and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Guest => "guest",
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The name is not that of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown namespace")]
pub struct UnknownNamespace;

impl core::str::FromStr for Namespace {
    type Err = UnknownNamespace;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|namespace| namespace.as_str() == name).ok_or(UnknownNamespace)
    }
}
