//! Who the connections are: users and their tokens.

use std::{fs, path::Path};

use anyhow::{Context as _, bail};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Serialize;

use crate::clock::Clock;

/// How long a minted token is good for, in seconds.
const LIFETIME: u64 = 24 * 3600;

/// A user and what proves it.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The user's id.
    pub user: String,
    /// Empty: no proof.
    pub token: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// How tokens are minted (HS256).
#[derive(Debug, Clone, Default)]
pub struct Minting {
    /// The secret that the server knows too.
    pub secret: String,
    /// Who issues them.
    pub issuer: Option<String>,
    /// Whom they are for.
    pub audience: Option<String>,
}

/// So many users without tokens.
#[must_use]
pub fn anonymous(prefix: &str, users: u32) -> Vec<Credential> {
    let anonymous = |number| Credential { user: format!("{prefix}{number}"), token: String::new() };
    (0..users).map(anonymous).collect()
}

/// So many users with tokens of our own making.
///
/// # Errors
/// When a token cannot be signed.
pub fn mint(prefix: &str, users: u32, minting: &Minting) -> anyhow::Result<Vec<Credential>> {
    let key = EncodingKey::from_secret(minting.secret.as_bytes());
    let exp = Clock::unix_seconds() + LIFETIME;
    let (iss, aud) = (minting.issuer.as_deref(), minting.audience.as_deref());
    let mint = |number| {
        let user = format!("{prefix}{number}");
        let claims = Claims { sub: &user, exp, iss, aud };
        let token = encode(&Header::default(), &claims, &key).context("cannot sign a token")?;
        Ok(Credential { user, token })
    };
    (0..users).map(mint).collect()
}

/// Users and tokens from a file: a line has the user's id, white space, the token.
///
/// # Errors
/// When it cannot be read, or a line has not both.
pub fn read(path: &Path) -> anyhow::Result<Vec<Credential>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut credentials = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let (Some(user), Some(token), None) = (words.next(), words.next(), words.next()) else {
            bail!("{}, line {}: not a user and a token", path.display(), number + 1);
        };
        credentials.push(Credential { user: user.to_owned(), token: token.to_owned() });
    }
    if credentials.is_empty() {
        bail!("{}: no tokens", path.display());
    }
    Ok(credentials)
}
