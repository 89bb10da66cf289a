//! The key that signatures are checked with, from its one configured source.

use std::{fs, path::Path};

use jsonwebtoken::{DecodingKey, crypto};
use secrecy::ExposeSecret;
use tracing::warn;

use crate::{Algorithm, ConfigFault, JwtConfig, Problem};

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

/// The key, or everything that is wrong with where it should come from.
pub(crate) fn decoding_key(config: &JwtConfig) -> Result<DecodingKey, Vec<ConfigFault>> {
    match config.algorithm {
        Algorithm::Hs256 => shared(config),
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

fn public(config: &JwtConfig, algorithm: Algorithm) -> Result<DecodingKey, Vec<ConfigFault>> {
    let mut faults = Vec::new();
    if config.secret.is_some() {
        faults.push(ConfigFault::new(SECRET, Problem::SecretNotUsed(algorithm)));
    }
    if config.jwks_file.is_some() {
        let problem = match config.public_key_file {
            Some(_) => Problem::TwoKeySources,
            None => Problem::KeySetUnsupported,
        };
        faults.push(ConfigFault::new(JWKS_FILE, problem));
    }
    let key = match &config.public_key_file {
        Some(path) => read_public_key(path, algorithm)
            .map_err(|problem| faults.push(ConfigFault::new(PUBLIC_KEY_FILE, problem)))
            .ok(),
        None => {
            if config.jwks_file.is_none() {
                let problem = Problem::MissingPublicKey(algorithm);
                faults.push(ConfigFault::new(PUBLIC_KEY_FILE, problem));
            }
            None
        }
    };
    match key {
        Some(key) if faults.is_empty() => Ok(key),
        Some(_) | None => Err(faults),
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
    let bytes = key.try_get_as_bytes().map_err(|_| not_a_key())?;

    // The library looks at the envelope only and would meet the key itself at the first token:
    // an RSA private key or another curve as a token that never verifies, a short Ed25519 key
    // as a panic.
    match algorithm {
        Algorithm::Hs256 | Algorithm::Es256 => {}
        Algorithm::Rs256 => {
            let parts =
                crypto::rust_crypto::DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
            let (modulus, _) = parts(bytes).map_err(|_| not_a_key())?;
            // RFC 7518, section 3.3: 2048 bits or larger.
            if modulus.len() < 2048 / 8 {
                return Err(Problem::WeakKey(path.to_path_buf()));
            }
        }
        Algorithm::EdDsa if bytes.len() != 32 => return Err(not_a_key()),
        Algorithm::EdDsa => {}
    }
    crypto::verify("", b"", &key, algorithm.to_library()).map_err(|_| not_a_key())?;
    Ok(key)
}
