//! The `embedded` section of the configuration.

/// Where the embedded store keeps its file.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A file, created if it is not there; `":memory:"` keeps nothing.
    pub path: String,
}
