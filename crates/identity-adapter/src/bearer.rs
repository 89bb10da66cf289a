//! Which token a client presents, if it presents one.

use game_realtime_application::ports::{Credentials, RefusedIdentity};

/// The header of RFC 6750, in lower case.
pub(crate) const AUTHORIZATION: &str = "authorization";

/// The one token in `credentials`: from the connect payload, or from an `Authorization` header
/// with the scheme Bearer. Empty text is no token, and a header with another scheme is not for us. A
/// Bearer token that is no text does not verify, whatever comes beside it.
pub(crate) fn token(credentials: &Credentials) -> Result<&str, RefusedIdentity> {
    let payload = credentials.token.as_deref();
    let headers = credentials.headers.iter().filter(|(name, _)| name == AUTHORIZATION);
    let bearers = headers
        .filter_map(|(_, value)| bearer(value))
        .map(|token| str::from_utf8(token).map_err(|_| RefusedIdentity::Invalid))
        .collect::<Result<Vec<_>, _>>()?;
    let mut tokens = payload.into_iter().chain(bearers).filter(|token| !token.is_empty());

    let first = tokens.next().ok_or(RefusedIdentity::Missing)?;
    // Two identities at once: whoever put the second one there, it must not depend on our taste
    // which one wins.
    if tokens.all(|token| token == first) { Ok(first) } else { Err(RefusedIdentity::Contradictory) }
}

/// The token of a header value, if its scheme (in any case, RFC 9110, section 11.1) is Bearer.
/// Only the white space of that RFC is taken off it: any other is part of the token.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let (scheme, token) = value.split_at(value.iter().position(|byte| *byte == b' ')?);
    scheme.eq_ignore_ascii_case(b"bearer").then(|| token.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(payload: Option<&str>, headers: &[&str]) -> Credentials {
        let headers: Vec<_> = headers.iter().map(|value| value.as_bytes()).collect();
        of_bytes(payload, &headers)
    }

    fn of_bytes(payload: Option<&str>, headers: &[&[u8]]) -> Credentials {
        Credentials {
            token: payload.map(str::to_owned),
            headers: headers
                .iter()
                .map(|value| (AUTHORIZATION.to_owned(), value.to_vec()))
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
    fn a_bearer_token_that_is_no_text_does_not_verify_and_is_not_overlooked() {
        for payload in [None, Some("a")] {
            for headers in [&[&b"Bearer \xe9"[..]][..], &[b"Bearer a", b"bearer \xff"]] {
                let presented = of_bytes(payload, headers);
                assert_eq!(
                    token(&presented),
                    Err(RefusedIdentity::Invalid),
                    "{payload:?} {headers:?}"
                );
            }
            let other_scheme = of_bytes(payload, &[b"Basic \xe9"]);
            assert_eq!(token(&other_scheme).ok(), payload);
        }
    }

    #[test]
    fn white_space_that_is_not_of_http_is_part_of_a_token() {
        let presented = credentials(None, &["Bearer \u{a0}a\u{2003}"]);
        assert_eq!(token(&presented), Ok("\u{a0}a\u{2003}"));
    }

    #[test]
    fn other_headers_are_not_read() {
        let mut other = credentials(None, &[]);
        other.headers.push(("x-authorization".to_owned(), b"Bearer a".to_vec()));
        assert_eq!(token(&other), Err(RefusedIdentity::Missing));
    }
}
