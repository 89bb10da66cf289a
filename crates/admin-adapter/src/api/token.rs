//! The bearer token that opens the API.

use http::{HeaderMap, header::AUTHORIZATION};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

/// A token that can be guarded with.
pub struct ApiToken(SecretString);

/// The text cannot be a token. It is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakToken {
    /// It could be guessed.
    #[error("must have at least {} characters", ApiToken::SHORTEST)]
    TooShort,
    /// It has no place in a header.
    #[error("must have at most {} characters", ApiToken::LONGEST)]
    TooLong,
    /// No header could carry it.
    #[error("must be of visible ASCII characters, without spaces")]
    Unspeakable,
}

impl ApiToken {
    /// As many hexadecimal digits are 128 bits.
    const SHORTEST: usize = 32;
    const LONGEST: usize = 1024;

    /// Takes a token that is long enough and that a header can carry.
    ///
    /// # Errors
    /// [`WeakToken`] otherwise.
    pub fn new(token: SecretString) -> Result<Self, WeakToken> {
        let text = token.expose_secret();
        if text.len() < Self::SHORTEST {
            Err(WeakToken::TooShort)
        } else if text.len() > Self::LONGEST {
            Err(WeakToken::TooLong)
        } else if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(token))
        } else {
            Err(WeakToken::Unspeakable)
        }
    }

    /// Whether a request brings it, once. How long that takes to find out says nothing of how
    /// much of it was right.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(credentials), None) = (given.next(), given.next()) else { return false };
        let credentials = credentials.as_bytes();
        let Some((scheme, token)) = credentials.split_at_checked(b"Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ")
            && token.ct_eq(self.0.expose_secret().as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn new(text: &str) -> Result<ApiToken, WeakToken> {
        ApiToken::new(text.to_owned().into())
    }

    #[test]
    fn a_token_is_long_and_fits_into_a_header() {
        assert!(new(TOKEN).is_ok());
        assert_eq!(new(&TOKEN[1..]).err(), Some(WeakToken::TooShort));
        assert_eq!(new(&TOKEN.repeat(33)).err(), Some(WeakToken::TooLong));
        for bad in [' ', '\n', 'é', '\u{7f}'] {
            assert_eq!(new(&format!("{TOKEN}{bad}")).err(), Some(WeakToken::Unspeakable));
        }
        assert_eq!(
            WeakToken::TooShort.to_string(),
            "must have at least 32 characters",
            "and never what it is"
        );
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = new(TOKEN).unwrap();
        let is_in = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            token.is_in(&headers)
        };
        let right = format!("Bearer {TOKEN}");
        assert!(is_in(&[&right]));
        assert!(is_in(&[&format!("bearer {TOKEN}")]));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            TOKEN,
            &format!("Basic {TOKEN}"),
            &format!("Bearer  {TOKEN}"),
            &right[..right.len() - 1],
            &format!("{right}0"),
            &format!("Bearer {}", TOKEN.to_uppercase()),
            &format!("Bearer x{}", &TOKEN[1..]),
        ] {
            assert!(!is_in(&[wrong]), "{wrong}");
        }
        assert!(!is_in(&[]));
        assert!(!is_in(&[&right, &right]));
    }
}
