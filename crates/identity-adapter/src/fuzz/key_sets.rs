//! Files that are nearly JSON Web Key Sets.

use game_realtime_fuzz::{Broken, fuzz};
use jsonwebtoken::decode_header;

use crate::{Algorithm, key_set::KeySet};

/// Public keys of the RFCs 7517 and 8037, and what else a set may hold.
const SETS: Broken = Broken::bytes(
    &[
        r#"{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"1"}]}"#,
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"2","alg":"EdDSA"}]}"#,
        r#"{"keys":[{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"3"}]}"#,
        r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"4"},{"kty":"EC","crv":"P-384"},{}]}"#,
    ],
    &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "null",
        "\"kid\":\"1\"",
        "\"kid\":\"2\",",
        "\"use\":\"enc\",",
        "\"alg\":\"RS256\",",
        "\"key_ops\":[\"verify\"],",
        "AAAA",
        "=",
        "-",
        "_",
        "\"x\":\"\"",
        "Ed448",
        "P-384",
        "é",
        "\u{0}",
    ],
);

#[test]
fn a_set_is_keys_of_the_algorithm_each_found_by_its_id() {
    fuzz!(
        SETS,
        |json: &Vec<u8>| {
            let mut through = false;
            for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
                let Ok(set) = KeySet::parse(json, algorithm) else { continue };
                through = true;
                assert!(set.len() > 0);
                assert_eq!(set.find(None).is_some(), set.len() == 1);
                assert!(set.find(Some("there is no such key")).is_none());
            }
            through
        },
        10
    );
}

#[test]
fn the_header_of_a_token_says_which_key_and_never_more() {
    const TOKENS: game_realtime_fuzz::BrokenText = Broken::text(
        // {"alg":"EdDSA","kid":"2"}, {"alg":"RS256","typ":"JWT"}
        &[
            "eyJhbGciOiJFZERTQSIsImtpZCI6IjIifQ.e30.AAAA",
            "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAA",
        ],
        &[".", "..", "e30", "=", "AAAA", "-", "_", "é", "\u{0}", " "],
    );
    let json = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"2"}]}"#;
    let set = KeySet::parse(json.as_bytes(), Algorithm::EdDsa).unwrap();
    fuzz!(TOKENS, |token: &String| {
        let Ok(header) = decode_header(token) else { return false };
        let found = set.find(header.kid.as_deref()).is_some();
        assert_eq!(found, header.kid.is_none() || header.kid.as_deref() == Some("2"), "{token}");
        found
    });
}
