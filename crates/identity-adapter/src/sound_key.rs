//! Whether a key can do what it is for.

use jsonwebtoken::{DecodingKey, DecodingKeyKind, crypto};

use crate::Algorithm;

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsound {
    /// It is not a key of the algorithm.
    NotAKey,
    /// It can be broken.
    Weak,
}

/// Checks the key itself. The library looks at the envelope only and would meet the key at the
/// first token: an RSA private key or another curve as a token that never verifies, a short
/// Ed25519 key as a panic.
pub(crate) fn check_sound(key: &DecodingKey, algorithm: Algorithm) -> Result<(), Unsound> {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Es256 => {}
        Algorithm::Rs256 => {
            // RFC 7518, section 3.3: 2048 bits or larger.
            if modulus_bytes(key).ok_or(Unsound::NotAKey)? < 2048 / 8 {
                return Err(Unsound::Weak);
            }
        }
        Algorithm::EdDsa => {
            if key.try_get_as_bytes().map_err(|_| Unsound::NotAKey)?.len() != 32 {
                return Err(Unsound::NotAKey);
            }
        }
    }
    crypto::verify("", b"", key, algorithm.to_library()).map_err(|_| Unsound::NotAKey)?;
    Ok(())
}

/// The length of an RSA key, without leading zeros.
fn modulus_bytes(key: &DecodingKey) -> Option<usize> {
    let length = |modulus: &[u8]| modulus.iter().skip_while(|byte| **byte == 0).count();
    match key.kind() {
        DecodingKeyKind::SecretOrDer(der) => {
            let parts =
                crypto::rust_crypto::DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
            parts(der).ok().map(|(modulus, _)| length(&modulus))
        }
        DecodingKeyKind::RsaModulusExponent { n, .. } => Some(length(n)),
    }
}
