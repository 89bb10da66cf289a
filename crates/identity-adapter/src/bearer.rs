//! Which token a client presents, if it presents one.

use game_realtime_application::ports::{Credentials, RefusedIdentity};

/// The header of RFC 6750, in lower case.
pub(crate) const AUTHORIZATION: &str = "authorization";

/// The one token in `credentials`: from the connect payload, or from an `Authorization` header
/// with the scheme Bearer. Empty text is no token, and a header with another scheme is not for us.
pub(crate) fn token(credentials: &Credentials) -> Result<&str, RefusedIdentity> {
    let payload = credentials.token.as_deref();
    let headers = credentials.headers.iter().filter(|(name, _)| name == AUTHORIZATION);
    let mut tokens = payload
        .into_iter()
        .chain(headers.filter_map(|(_, value)| bearer(value)))
        .filter(|token| !token.is_empty());

    let first = tokens.next().ok_or(RefusedIdentity::Missing)?;
    // Two identities at once: whoever put the second one there, it must not depend on our taste
    // which one wins.
    if tokens.all(|token| token == first) { Ok(first) } else { Err(RefusedIdentity::Contradictory) }
}

/// The token of a header value, if its scheme (in any case, RFC 9110, section 11.1) is Bearer.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(payload: Option<&str>, headers: &[&str]) -> Credentials {
        Credentials {
            token: payload.map(str::to_owned),
            headers: headers
                .iter()
                .map(|value| (AUTHORIZATION.to_owned(), (*value).to_owned()))
                .collect(),
            peer: None,
        }
    }

    #[test]
    fn a_token_comes_from_the_payload_or_from_a_bearer_header() {
        assert_eq!(token(&credentials(Some("a"), &[])), Ok("a"));
        for header in ["Bearer a", "bearer a", "BEARER   a", " Bearer a "] {
            assert_eq!(token(&credentials(None, &[header])), Ok("a"), "{header:?}");
        }
    }

    #[test]
    fn empty_text_and_other_schemes_are_no_token() {
        for absent in [
            credentials(None, &[]),
            credentials(Some(""), &[]),
            credentials(Some(""), &["Bearer "]),
            credentials(None, &["Bearer"]),
            credentials(None, &["Basic YTpi"]),
            credentials(None, &["a"]),
        ] {
            assert_eq!(token(&absent), Err(RefusedIdentity::Missing));
        }
        assert_eq!(token(&credentials(Some("a"), &["Basic YTpi"])), Ok("a"));
    }

    #[test]
    fn tokens_that_agree_are_one_token_and_tokens_that_differ_contradict() {
        assert_eq!(token(&credentials(Some("a"), &["Bearer a"])), Ok("a"));
        assert_eq!(token(&credentials(None, &["Bearer a", "bearer a"])), Ok("a"));
        for contradictory in [
            credentials(Some("a"), &["Bearer b"]),
            credentials(None, &["Bearer a", "Bearer b"]),
            credentials(Some("a"), &["Bearer a", "Bearer b"]),
        ] {
            assert_eq!(token(&contradictory), Err(RefusedIdentity::Contradictory));
        }
    }

    #[test]
    fn other_headers_are_not_read() {
        let mut other = credentials(None, &[]);
        other.headers.push(("x-authorization".to_owned(), "Bearer a".to_owned()));
        assert_eq!(token(&other), Err(RefusedIdentity::Missing));
    }
}
