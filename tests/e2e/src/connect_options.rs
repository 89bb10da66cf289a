//! How a client connects.

use std::fmt;

use serde_json::{Map, Value, json};

/// A game namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Namespace {
    /// Identified players.
    Private,
    /// Anonymous visitors.
    Guest,
}

impl Namespace {
    /// Its name in URLs and payloads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
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

/// The way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The game namespace is the Engine.IO path.
    Path,
    /// The game namespace is the Socket.IO namespace.
    Namespace,
}

/// How a client connects.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    pub(crate) namespace: Namespace,
    fields: Map<String, Value>,
}

impl ConnectOptions {
    /// A guest with the library's default options, by namespace.
    #[must_use]
    pub fn guest(url: &str) -> Self {
        Self::new(url, Namespace::Guest)
    }

    /// A player with the library's default options, by namespace.
    #[must_use]
    pub fn player(url: &str, token: &str) -> Self {
        Self::new(url, Namespace::Private).with("token", token)
    }

    /// A client without a token.
    #[must_use]
    pub fn new(url: &str, namespace: Namespace) -> Self {
        Self { namespace, fields: Map::new() }
            .with("url", url)
            .with("namespace", namespace.as_str())
            .with("form", "namespace")
    }

    /// The way in.
    #[must_use]
    pub fn by(self, form: Form) -> Self {
        self.with(
            "form",
            match form {
                Form::Path => "path",
                Form::Namespace => "namespace",
            },
        )
    }

    /// The transports to use, in this order, instead of the library's.
    #[must_use]
    pub fn over(self, transports: &[&str]) -> Self {
        self.with("transports", transports)
    }

    /// The cursor to come back with.
    #[must_use]
    pub fn from_cursor(self, cursor: &str) -> Self {
        self.with("cursor", cursor)
    }

    /// Reconnects by itself, each time with the last cursor it saw.
    #[must_use]
    pub fn reconnecting(self) -> Self {
        self.with("reconnection", true).with("resume", true)
    }

    /// As [`reconnecting`](Self::reconnecting), and when it comes back and is refused for a while,
    /// it tries again: a game that is patient.
    #[must_use]
    pub fn insisting(self) -> Self {
        self.reconnecting().with("insist", true)
    }

    /// Any field of the driver's `connect` command.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl serde::Serialize) -> Self {
        self.fields.insert(field.to_owned(), json!(value));
        self
    }

    pub(crate) fn to_command(&self) -> Value {
        Value::Object(self.fields.clone())
    }
}
