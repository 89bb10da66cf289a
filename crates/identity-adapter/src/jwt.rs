//! Identity by JSON Web Token (RFC 7519).

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use game_realtime_application::ports::{
    Credentials, Identity, IdentityVerifier, RefusedIdentity, VerifyError,
};
use game_realtime_domain::{Timestamp, UserId};
use jsonwebtoken::{DecodingKey, TokenData, Validation, decode, decode_header, errors};

use crate::{
    ConfigFault, JwtConfig, bearer,
    jwks_file::JwksFile,
    key::{self, KeySource},
    key_set::KeySet,
};

/// Longer tokens are refused unread: checking one costs time in proportion to its length, and
/// whoever sends it has not been identified yet.
pub(crate) const LONGEST_TOKEN: usize = 8 * 1024;

/// How early a token may be used. A provider whose clock is ahead says `nbf` of the moment it issues a
/// token, and a client that is refused does not come back by itself.
const EARLY: Duration = Duration::from_secs(5);

/// Believes tokens that are signed with the configured key.
pub(crate) struct JwtVerifier {
    headers: Vec<String>,
    keys: Keys,
    validation: Validation,
}

enum Keys {
    One(DecodingKey),
    Set(Arc<ArcSwap<KeySet>>),
}

/// The claims that are read. A missing or mistyped one makes the token invalid.
#[derive(serde::Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
}

impl JwtVerifier {
    /// A verifier of the tokens that `config` describes, and the file that its keys come from, if
    /// that has to be followed.
    ///
    /// # Errors
    /// Everything that is wrong with the section.
    pub(crate) fn new(config: &JwtConfig) -> Result<(Self, Option<JwksFile>), Vec<ConfigFault>> {
        let (keys, file) = match key::key_source(config)? {
            KeySource::One(key) => (Keys::One(key), None),
            KeySource::Set(file) => (Keys::Set(file.keys()), Some(file)),
        };
        let headers = vec![bearer::AUTHORIZATION.to_owned()];
        Ok((Self { headers, keys, validation: validation(config) }, file))
    }

    fn decode(&self, token: &str) -> errors::Result<TokenData<Claims>> {
        match &self.keys {
            Keys::One(key) => decode(token, key, &self.validation),
            Keys::Set(keys) => {
                // The header is not to be believed yet; it only says which key would confirm it.
                let id = decode_header(token)?.kid;
                let keys = keys.load();
                let key = keys.find(id.as_deref()).ok_or(errors::ErrorKind::InvalidSignature)?;
                decode(token, key, &self.validation)
            }
        }
    }

    pub(crate) fn identify(
        &self,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<Identity, RefusedIdentity> {
        let token = bearer::token(credentials)?;
        if token.len() > LONGEST_TOKEN {
            return Err(RefusedIdentity::Invalid);
        }
        let token = self.decode(token).map_err(|_| RefusedIdentity::Invalid)?;
        // RFC 7515, section 4.1.11: who does not know a critical extension must refuse. We know
        // none, and the library leaves the check to us.
        if token.header.crit.is_some() {
            return Err(RefusedIdentity::Invalid);
        }
        let claims = token.claims;
        let user_id = UserId::parse(claims.sub).map_err(|_| RefusedIdentity::Invalid)?;

        // No leeway here. A connection is closed the moment its token expires, so one accepted after
        // that would be closed at once, and the client would come back with the same token in a
        // loop. Clocks that disagree are mended with NTP, not by believing expired tokens.
        let expires_at = timestamp(claims.exp);
        if expires_at <= now {
            return Err(RefusedIdentity::Expired);
        }
        let early = |not_before| now.plus(EARLY) < timestamp(not_before);
        if claims.nbf.is_some_and(early) {
            return Err(RefusedIdentity::NotYetValid);
        }
        Ok(Identity { user_id, expires_at: Some(expires_at) })
    }
}

#[async_trait]
impl IdentityVerifier for JwtVerifier {
    fn headers(&self) -> &[String] {
        &self.headers
    }

    async fn verify(
        &self,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<Identity, VerifyError> {
        self.identify(credentials, now).map_err(VerifyError::Refused)
    }
}

/// What the library checks: algorithm, signature, issuer and audience. It would compare times to
/// the system clock with a minute's leeway, so those are ours; [`Claims`] says what must be there.
fn validation(config: &JwtConfig) -> Validation {
    let mut validation = Validation::new(config.algorithm.to_library());
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.leeway = 0;
    validation.required_spec_claims.clear();
    if let Some(issuer) = &config.issuer {
        validation.required_spec_claims.insert("iss".to_owned());
        validation.set_issuer(&[issuer]);
    }
    match &config.audience {
        Some(audience) => {
            validation.required_spec_claims.insert("aud".to_owned());
            validation.set_audience(&[audience]);
        }
        // Otherwise the library refuses every token that has an audience.
        None => validation.validate_aud = false,
    }
    validation
}

/// A `NumericDate` (RFC 7519, section 2: seconds, possibly with a fraction). What lies before the
/// epoch becomes the epoch, what is too far for a calendar becomes the end of the year 9999.
fn timestamp(seconds: f64) -> Timestamp {
    const END: Duration = Duration::from_millis(253_402_300_799_999);
    let since_epoch = if seconds <= 0.0 {
        Duration::ZERO
    } else {
        Duration::try_from_secs_f64(seconds).map_or(END, |since| since.min(END))
    };
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_date_may_have_a_fraction_and_may_lie_anywhere() {
        for (seconds, milliseconds) in [
            (1_700_000_000.0, 1_700_000_000_000),
            (1_700_000_000.5, 1_700_000_000_500),
            (-5.0, 0),
            (f64::MAX, 253_402_300_799_999),
        ] {
            assert_eq!(timestamp(seconds), Timestamp::from_millis(milliseconds), "{seconds}");
        }
    }
}
