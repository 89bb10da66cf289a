//! The `embedded` section of the configuration.

use std::time::Duration;

use bytesize::ByteSize;

/// Where the embedded store keeps its file.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A file, created if it is not there; `":memory:"` keeps nothing.
    pub path: String,
    /// What the file may hold; more than that, and the oldest events go before their retention is
    /// over. 0: no budget.
    pub space_budget: ByteSize,
    /// How long a client's event may wait for its commit.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
}
