//! The `embedded` section of the configuration.

use std::time::Duration;

/// Where the embedded store keeps its file.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A file, created if it is not there; `":memory:"` keeps nothing.
    pub path: String,
    /// How long a client's event may wait for its commit.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
}
