//! What only the operator can mend: the command line or the configuration.

use crate::config::Fault;

/// Something that was asked for cannot be done as asked. Ends the process with exit code 2; its
/// text has one line per fault.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines.join("\n"))]
pub(crate) struct UsageError {
    lines: Vec<String>,
}

impl UsageError {
    /// A fault that is no key of the configuration.
    pub(crate) fn new(line: impl Into<String>) -> Self {
        Self { lines: vec![line.into()] }
    }
}

impl From<Fault> for UsageError {
    fn from(fault: Fault) -> Self {
        Self::new(fault.to_string())
    }
}

impl From<Vec<Fault>> for UsageError {
    fn from(faults: Vec<Fault>) -> Self {
        Self { lines: faults.iter().map(ToString::to_string).collect() }
    }
}
