//! What can be wrong with the `auth` section.

use std::{io, path::PathBuf};

use crate::{Algorithm, key_set::KeySetFault};

/// A key of the configuration whose value cannot be used. Never contains the value of a secret.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfigFault {
    /// The key at fault, from the root of the configuration.
    pub key: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

impl ConfigFault {
    pub(crate) const fn new(key: &'static str, problem: Problem) -> Self {
        Self { key, problem }
    }
}

/// What is wrong with the value of a key.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// HS256 without its key.
    #[error("missing, algorithm HS256 needs it")]
    MissingSecret,
    /// Another algorithm without its key.
    #[error("missing, algorithm {} needs it or auth.jwt.jwks_file", .0.as_str())]
    MissingPublicKey(Algorithm),
    /// A shared secret for an algorithm that has a public key.
    #[error("does not fit algorithm {}, which takes a public key", .0.as_str())]
    SecretNotUsed(Algorithm),
    /// A public key for an algorithm that has a shared secret.
    #[error("does not fit algorithm HS256, which takes auth.jwt.secret")]
    PublicKeyNotUsed,
    /// Two sources for one key.
    #[error("cannot be combined with auth.jwt.public_key_file")]
    TwoKeySources,
    /// The file cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file holds something else.
    #[error("{} is not a PEM public key for algorithm {}", .path.display(), .algorithm.as_str())]
    NotAPublicKey {
        /// The file.
        path: PathBuf,
        /// What the key would be for.
        algorithm: Algorithm,
    },
    /// The file does not hold a key set that can be used.
    #[error("{} {fault}", .path.display())]
    BadKeySet {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: KeySetFault,
    },
    /// The key can be broken.
    #[error("{} holds an RSA key of fewer than 2048 bits", .0.display())]
    WeakKey(PathBuf),
    /// Not the name of a header.
    #[error("not a header name")]
    NotAHeaderName,
    /// Not a network.
    #[error("{0:?} is not a CIDR such as \"10.0.0.0/8\"; a single address ends in /32 or /128")]
    NotACidr(String),
}
