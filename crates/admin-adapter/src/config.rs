//! The `admin` section of the configuration.

use std::net::IpAddr;

use secrecy::SecretString;

use crate::{ApiToken, WeakToken};

/// Where operators and probes ask.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 lets the system choose.
    pub port: u16,
    /// What opens the API; without it there is none.
    #[serde(default)]
    pub api_token: Option<SecretString>,
}

impl Config {
    /// The token of the API, if one is set.
    ///
    /// # Errors
    /// [`WeakToken`] when it cannot be used.
    pub fn token(&self) -> Result<Option<ApiToken>, WeakToken> {
        self.api_token.clone().map(ApiToken::new).transpose()
    }
}
