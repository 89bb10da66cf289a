//! What signatures are checked with: a secret, a public key or a set of them, from its one
//! configured source.

use std::{fs, path::Path};

use jsonwebtoken::DecodingKey;
use secrecy::ExposeSecret;
use tracing::warn;

use crate::{
    Algorithm, ConfigFault, JwtConfig, Problem,
    jwks_file::JwksFile,
    sound_key::{Unsound, check_sound},
};

const SECRET: &str = "auth.jwt.secret";
const PUBLIC_KEY_FILE: &str = "auth.jwt.public_key_file";
const JWKS_FILE: &str = "auth.jwt.jwks_file";

impl Algorithm {
    /// The same algorithm, as the library calls it.
    pub(crate) const fn to_library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// Where the key of a token is found.
pub(crate) enum KeySource {
    /// There is but one.
    One(DecodingKey),
    /// By the token's `kid`, in a file that may change.
    Set(JwksFile),
}

/// The source, or everything that is wrong with it.
pub(crate) fn key_source(config: &JwtConfig) -> Result<KeySource, Vec<ConfigFault>> {
    match config.algorithm {
        Algorithm::Hs256 => shared(config).map(KeySource::One),
        asymmetric @ (Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa) => {
            public(config, asymmetric)
        }
    }
}

fn shared(config: &JwtConfig) -> Result<DecodingKey, Vec<ConfigFault>> {
    let mut faults = Vec::new();
    if config.public_key_file.is_some() {
        faults.push(ConfigFault::new(PUBLIC_KEY_FILE, Problem::PublicKeyNotUsed));
    }
    if config.jwks_file.is_some() {
        faults.push(ConfigFault::new(JWKS_FILE, Problem::PublicKeyNotUsed));
    }
    match &config.secret {
        Some(secret) if !secret.expose_secret().is_empty() => {
            if faults.is_empty() {
                let secret = secret.expose_secret().as_bytes();
                // RFC 7518, section 3.2: as long as the hash, or it can be searched for.
                if secret.len() < 32 {
                    warn!("auth.jwt.secret is shorter than 32 bytes");
                }
                return Ok(DecodingKey::from_secret(secret));
            }
        }
        Some(_) | None => faults.push(ConfigFault::new(SECRET, Problem::MissingSecret)),
    }
    Err(faults)
}

fn public(config: &JwtConfig, algorithm: Algorithm) -> Result<KeySource, Vec<ConfigFault>> {
    let mut faults = Vec::new();
    if config.secret.is_some() {
        faults.push(ConfigFault::new(SECRET, Problem::SecretNotUsed(algorithm)));
    }
    let source = match (&config.public_key_file, &config.jwks_file) {
        (Some(_), Some(_)) => Err(ConfigFault::new(JWKS_FILE, Problem::TwoKeySources)),
        (Some(path), None) => read_public_key(path, algorithm)
            .map(KeySource::One)
            .map_err(|problem| ConfigFault::new(PUBLIC_KEY_FILE, problem)),
        (None, Some(path)) => JwksFile::open(path.clone(), algorithm)
            .map(KeySource::Set)
            .map_err(|problem| ConfigFault::new(JWKS_FILE, problem)),
        (None, None) => {
            Err(ConfigFault::new(PUBLIC_KEY_FILE, Problem::MissingPublicKey(algorithm)))
        }
    };
    match source {
        Ok(source) if faults.is_empty() => Ok(source),
        Ok(_) => Err(faults),
        Err(fault) => {
            faults.push(fault);
            Err(faults)
        }
    }
}

fn read_public_key(path: &Path, algorithm: Algorithm) -> Result<DecodingKey, Problem> {
    let pem =
        fs::read(path).map_err(|error| Problem::Unreadable { path: path.to_path_buf(), error })?;
    let not_a_key = || Problem::NotAPublicKey { path: path.to_path_buf(), algorithm };
    let key = match algorithm {
        Algorithm::Hs256 => return Err(not_a_key()),
        Algorithm::Rs256 => DecodingKey::from_rsa_pem(&pem),
        Algorithm::Es256 => DecodingKey::from_ec_pem(&pem),
        Algorithm::EdDsa => DecodingKey::from_ed_pem(&pem),
    }
    .map_err(|_| not_a_key())?;
    check_sound(&key, algorithm).map_err(|unsound| match unsound {
        Unsound::NotAKey => not_a_key(),
        Unsound::Weak => Problem::WeakKey(path.to_path_buf()),
    })?;
    Ok(key)
}
