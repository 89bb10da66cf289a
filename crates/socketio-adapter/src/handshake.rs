//! The WebSocket handshake of a request: RFC 6455, section 4.2.

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Version,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};

/// The headers of the answer that accepts a handshake; `None` if the request is not one.
///
/// Of the subprotocols that are offered the first is chosen, as Socket.IO servers do: browsers fail a
/// connection that answers none.
pub(crate) fn accept<B>(request: &Request<B>) -> Option<HeaderMap> {
    let headers = request.headers();
    let is_handshake = request.version() == Version::HTTP_11
        && lists(headers, &CONNECTION, "upgrade")
        && lists(headers, &UPGRADE, "websocket")
        && only(headers, &SEC_WEBSOCKET_VERSION)? == "13";
    let key = only(headers, &SEC_WEBSOCKET_KEY)?.as_bytes();
    if !is_handshake || !is_key(key) {
        return None;
    }
    let accept = tungstenite::handshake::derive_accept_key(key);
    let mut answer = HeaderMap::new();
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).ok()?);
    if let Some(chosen) = first_subprotocol(headers)? {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    Some(answer)
}

/// Whether a header that is a list of tokens has one.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The value of a header that must not come twice.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether a key is what it has to be: 16 bytes in Base64.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    matches!(key, [digits @ .., b'=', b'='] if digits.len() == 22 && digits.iter().all(is_digit))
}

/// The first subprotocol that is offered, `Some(None)` if none is; `None` if that is no list of tokens.
fn first_subprotocol(headers: &HeaderMap) -> Option<Option<HeaderValue>> {
    let mut first = None;
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        for token in value.to_str().ok()?.split(',') {
            let token = token.trim();
            // A token is what the name of a header is made of (RFC 9110, section 5.6.2).
            token.parse::<HeaderName>().ok()?;
            if first.is_none() {
                first = Some(HeaderValue::from_str(token).ok()?);
            }
        }
    }
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDSHAKE: [(&str, &str); 4] = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn answer(headers: &[(&str, &str)], version: Version) -> Option<HeaderMap> {
        let mut request = Request::builder().version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        accept(&request.body(()).unwrap())
    }

    fn with(name: &str, value: &str) -> Option<HeaderMap> {
        let mut headers = HANDSHAKE.to_vec();
        headers.retain(|(known, _)| *known != name);
        headers.push((name, value));
        answer(&headers, Version::HTTP_11)
    }

    #[test]
    fn a_handshake_is_accepted_with_the_digest_of_its_key() {
        let accepted = answer(&HANDSHAKE, Version::HTTP_11).unwrap();
        // The example of RFC 6455, section 1.3.
        assert_eq!(accepted[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!accepted.contains_key(SEC_WEBSOCKET_PROTOCOL));
        for (name, value) in [
            ("connection", "keep-alive, upgrade"),
            ("upgrade", "WebSocket"),
            ("upgrade", "h2c, websocket"),
        ] {
            assert!(with(name, value).is_some(), "{name}: {value}");
        }
    }

    #[test]
    fn what_is_nearly_a_handshake_is_none() {
        assert!(answer(&HANDSHAKE, Version::HTTP_10).is_none());
        for (name, _) in HANDSHAKE {
            let rest: Vec<_> = HANDSHAKE.into_iter().filter(|(known, _)| *known != name).collect();
            assert!(answer(&rest, Version::HTTP_11).is_none(), "without {name}");
        }
        for (name, value) in [
            ("connection", "keep-alive"),
            ("connection", "upgraded"),
            ("upgrade", "h2c"),
            ("upgrade", "websockets"),
            ("sec-websocket-version", "12"),
            ("sec-websocket-version", "13, 8"),
            ("sec-websocket-key", ""),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ="),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==="),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25j.Q=="),
            ("sec-websocket-protocol", "a,,b"),
            ("sec-websocket-protocol", "a b"),
        ] {
            assert!(with(name, value).is_none(), "{name}: {value}");
        }
        let twice = [&HANDSHAKE[..], &HANDSHAKE[3..]].concat();
        assert!(answer(&twice, Version::HTTP_11).is_none(), "two keys");
    }

    #[test]
    fn the_first_subprotocol_that_is_offered_is_chosen() {
        for (offered, chosen) in [("chat", "chat"), ("v2.chat, chat", "v2.chat"), (" a ,b", "a")] {
            let accepted = with("sec-websocket-protocol", offered).unwrap();
            assert_eq!(accepted[SEC_WEBSOCKET_PROTOCOL], chosen);
        }
    }
}
