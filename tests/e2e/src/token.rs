//! Tokens as an identity provider would issue them.

use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use serde::Serialize;

/// The secret that every server of these tests is configured with.
pub const SECRET: &str = "the secret of the end-to-end tests, long enough";

/// More than any leeway a verifier might grant.
const LONG_AGO_SECONDS: u64 = 3600;

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: u64,
}

/// A token of `user`, good for an hour.
#[must_use]
pub fn mint(user: &str) -> String {
    mint_with_secret(user, SECRET)
}

/// A token of `user`, signed with a secret of one's own.
#[must_use]
pub fn mint_with_secret(user: &str, secret: &str) -> String {
    sign(user, get_current_timestamp() + 3600, secret)
}

/// A token of `user` that expired an hour ago.
#[must_use]
pub fn mint_expired(user: &str) -> String {
    sign(user, get_current_timestamp() - LONG_AGO_SECONDS, SECRET)
}

/// A token of `user` that expires so many whole seconds from now, or up to one later.
#[must_use]
pub fn mint_for(user: &str, seconds: u64) -> String {
    sign(user, get_current_timestamp() + seconds + 1, SECRET)
}

/// A token with any claims.
#[must_use]
pub fn sign_claims(claims: &serde_json::Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes()))
        .expect("claims can be encoded")
}

fn sign(user: &str, exp: u64, secret: &str) -> String {
    let claims = Claims { sub: user, exp };
    encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes()))
        .expect("claims can be encoded")
}
