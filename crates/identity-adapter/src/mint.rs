//! Tokens for development: what an identity provider would issue, from the configured secret.

use std::time::Duration;

use game_realtime_domain::{Timestamp, UserId};
use jsonwebtoken::{EncodingKey, Header, encode};
use secrecy::{ExposeSecret, SecretString};

use crate::{Algorithm, Config, Mode};

#[derive(serde::Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// A token was not made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// No token is read in this mode.
    #[error("auth.mode is not jwt, tokens are not read")]
    NotJwt,
    /// Only the identity provider has the private key.
    #[error("auth.jwt.algorithm is {}, tokens are minted for HS256 only", .0.as_str())]
    NotShared(Algorithm),
    /// There is nothing to sign with.
    #[error("auth.jwt.secret is not set")]
    NoSecret,
    /// The library refused.
    #[error("token cannot be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// Mints a token for `user` that a verifier of the same `config` accepts for `ttl` from `now`,
/// rounded up to the second.
///
/// # Errors
/// [`MintError`] when the configuration has no secret to sign with.
pub fn mint(
    config: &Config,
    user: &UserId,
    ttl: Duration,
    now: Timestamp,
) -> Result<String, MintError> {
    if config.mode != Mode::Jwt {
        return Err(MintError::NotJwt);
    }
    let jwt = &config.jwt;
    if jwt.algorithm != Algorithm::Hs256 {
        return Err(MintError::NotShared(jwt.algorithm));
    }
    let secret = jwt.secret.as_ref().map(SecretString::expose_secret).ok_or(MintError::NoSecret)?;
    let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    let claims = Claims {
        sub: user.as_str(),
        iat: now.as_millis() / 1000,
        exp: now.as_millis().saturating_add(ttl).div_ceil(1000),
        iss: jwt.issuer.as_deref(),
        aud: jwt.audience.as_deref(),
    };
    let header = Header::new(jwt.algorithm.to_library());
    encode(&header, &claims, &EncodingKey::from_secret(secret.as_bytes())).map_err(MintError::Sign)
}
