//! One thing that is wrong with the configuration.

use std::fmt;

/// A key, what is wrong with it, and where it was set. Never shows the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(super) key: String,
    pub(super) message: String,
    pub(super) origin: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, message, origin } = self;
        let line = format!("{key}: {message} ({origin})");
        // One line per fault, whatever a path or an error of the system contains.
        formatter.write_str(&line.replace(char::is_control, " "))
    }
}
