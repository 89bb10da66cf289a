//! A JSON Web Key Set (RFC 7517): the public keys of an identity provider, by their ids.

use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde_json::Value;

use crate::{Algorithm, sound_key::check_sound};

/// The keys of a set that can check signatures of the one configured algorithm.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<(Option<String>, DecodingKey)>,
}

/// A file does not hold keys that can be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetFault {
    /// It is something else.
    #[error("is not a JSON Web Key Set")]
    NotAKeySet,
    /// All its keys are for something else, or broken.
    #[error(
        "holds no key that can check {} signatures: {found} keys, none with fitting kty, crv, alg, \
         use and key_ops (and at least 2048 bits, if RSA)",
        .algorithm.as_str()
    )]
    NoUsableKey {
        /// What the keys would be for.
        algorithm: Algorithm,
        /// How many keys there are.
        found: usize,
    },
    /// Which key checks a token would be a matter of taste.
    #[error("holds two usable keys with the kid {0:?}")]
    AmbiguousId(String),
}

#[derive(serde::Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a set. Keys that cannot be used are left out: a set often holds keys for other
    /// purposes, and of kinds that are yet to come (RFC 7517, section 5).
    pub(crate) fn parse(json: &[u8], algorithm: Algorithm) -> Result<Self, KeySetFault> {
        let document: Document =
            serde_json::from_slice(json).map_err(|_| KeySetFault::NotAKeySet)?;
        let found = document.keys.len();
        let mut keys: Vec<(Option<String>, DecodingKey)> = Vec::new();
        for value in document.keys {
            let Ok(jwk) = serde_json::from_value::<Jwk>(value) else { continue };
            let Some(key) = usable(&jwk, algorithm) else { continue };
            let id = jwk.common.key_id;
            if let Some(id) = &id
                && keys.iter().any(|(other, _)| other.as_ref() == Some(id))
            {
                return Err(KeySetFault::AmbiguousId(id.clone()));
            }
            keys.push((id, key));
        }
        if keys.is_empty() {
            return Err(KeySetFault::NoUsableKey { algorithm, found });
        }
        Ok(Self { keys })
    }

    /// The key for a token with this `kid`; without one, the only key there is.
    pub(crate) fn find(&self, id: Option<&str>) -> Option<&DecodingKey> {
        match (id, self.keys.as_slice()) {
            (None, [(_, only)]) => Some(only),
            (None, _) => None,
            (Some(id), keys) => {
                keys.iter().find(|(other, _)| other.as_deref() == Some(id)).map(|(_, key)| key)
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// The key, if it may and can check signatures of this algorithm.
fn usable(jwk: &Jwk, algorithm: Algorithm) -> Option<DecodingKey> {
    let fits = match (&jwk.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), Algorithm::Rs256) => true,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::Es256) => {
            key.curve == EllipticCurve::P256
        }
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDsa) => {
            key.curve == EllipticCurve::Ed25519
        }
        // Symmetric keys never: a set of public keys is no place for a secret.
        _ => false,
    };
    let common = &jwk.common;
    let meant = common.key_algorithm.is_none_or(|meant| meant == algorithm.to_library().into())
        && common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature)
        && common.key_operations.as_ref().is_none_or(|it| it.contains(&KeyOperations::Verify));
    if !fits || !meant {
        return None;
    }
    let key = DecodingKey::from_jwk(jwk).ok()?;
    check_sound(&key, algorithm).ok()?;
    Some(key)
}
