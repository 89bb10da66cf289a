//! The `auth` section of the configuration.

use std::path::PathBuf;

use secrecy::SecretString;

/// The secret of `config/dev.toml`. Everybody knows it, so it must not guard anything that others
/// can reach.
pub const DEVELOPMENT_SECRET: &str = "game-realtime-development-secret";

/// How players are identified.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// By what.
    pub mode: Mode,
    /// For [`Mode::Jwt`].
    pub jwt: JwtConfig,
    /// For [`Mode::TrustedHeader`].
    pub trusted_header: TrustedHeaderConfig,
}

/// By what players are identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By a JSON Web Token that the client presents.
    Jwt,
    /// By a header that a proxy in front of the node sets.
    TrustedHeader,
}

/// Which tokens are accepted.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// The only algorithm that is accepted, whatever a token says of itself.
    pub algorithm: Algorithm,
    /// The key of HS256.
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// The key of the other algorithms, a PEM file.
    #[serde(default)]
    pub public_key_file: Option<PathBuf>,
    /// The keys of the other algorithms, a JSON Web Key Set.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// What `iss` must be. Unset: not checked.
    #[serde(default)]
    pub issuer: Option<String>,
    /// What `aud` must be or contain. Unset: not checked.
    #[serde(default)]
    pub audience: Option<String>,
}

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-256, a shared secret.
    #[serde(rename = "HS256")]
    Hs256,
    /// RSA PKCS #1 v1.5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// The name that tokens and configuration use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Which header is believed, and from whom.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedHeaderConfig {
    /// The header that holds the user id.
    pub name: String,
    /// The networks of the proxies, as CIDRs. A request from elsewhere is not believed.
    pub proxies: Vec<String>,
}
