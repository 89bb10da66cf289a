//! Tokens that are nearly genuine.

use std::sync::OnceLock;

use game_realtime_application::ports::Credentials;
use game_realtime_domain::{Timestamp, UserId};
use game_realtime_fuzz::{
    Broken, BrokenText, below,
    bolero::{Driver, ValueGenerator},
    fuzz,
};
use jsonwebtoken::{EncodingKey, Header, encode};

use crate::{
    Algorithm, JwtConfig, bearer,
    jwt::{JwtVerifier, LONGEST_TOKEN},
};

const SECRET: &str = "a secret for these tests, long enough";
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// What the claims of genuine tokens may be.
const CLAIMS: BrokenText = Broken::text(
    &[
        r#"{"sub":"alice","exp":1700000100}"#,
        r#"{"sub":"al\"ice","exp":1.7000001e9,"nbf":1699999999.5,"aud":["x"],"iss":"y"}"#,
        r#"{"sub":"","exp":1700000100}"#,
        r#"{"sub":"bob","exp":1699999999}"#,
    ],
    &[
        "null",
        "\"exp\":",
        "1e300",
        "-1",
        "1e999",
        "\"\"",
        ",",
        "{",
        "}",
        "\\u0000",
        "[",
        "]",
        "18446744073709551616",
        "NaN",
    ],
);

/// What a forger has to begin with: tokens that were genuine once, for other keys and algorithms.
fn known() -> &'static [String] {
    static KNOWN: OnceLock<Vec<String>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let claims = serde_json::json!({"sub": "alice", "exp": 1_700_000_100});
        let signed = |algorithm, secret: &str| {
            encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(secret.as_bytes()))
                .unwrap()
        };
        use jsonwebtoken::Algorithm::{HS256, HS384, HS512};
        vec![
            signed(HS256, SECRET),
            signed(HS256, "another secret, just as long as it is"),
            signed(HS384, SECRET),
            signed(HS512, SECRET),
            // {"alg":"none"}
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6MTcwMDAwMDEwMH0.".to_owned(),
        ]
    })
}

/// A token of which some characters were changed, or whose parts were put together anew.
struct Forged;

impl ValueGenerator for Forged {
    type Output = String;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<String> {
        const ALPHABET: &[u8] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n";
        let part = |driver: &mut D, number: usize| {
            let token = &known()[below(driver, known().len())?];
            token.split('.').nth(number).map(str::to_owned)
        };
        let mut token = if below(driver, 2)? == 0 {
            known()[0].clone()
        } else {
            format!("{}.{}.{}", part(driver, 0)?, part(driver, 1)?, part(driver, 2)?)
        }
        .into_bytes();
        for _ in 0..below(driver, 4)? {
            let at = below(driver, token.len() + 1)?;
            let byte = ALPHABET[below(driver, ALPHABET.len())?];
            match below(driver, 3)? {
                0 => token.insert(at, byte),
                1 if at < token.len() => token[at] = byte,
                _ if at < token.len() => drop(token.remove(at)),
                _ => {}
            }
        }
        String::from_utf8(token).ok()
    }
}

fn verifier() -> JwtVerifier {
    let config = JwtConfig {
        algorithm: Algorithm::Hs256,
        secret: Some(SECRET.to_owned().into()),
        public_key_file: None,
        jwks_file: None,
        issuer: None,
        audience: None,
    };
    JwtVerifier::new(&config).ok().unwrap().0
}

fn presenting(token: &str) -> Credentials {
    Credentials { token: Some(token.to_owned()), headers: Vec::new(), peer: None }
}

#[test]
fn only_the_genuine_token_is_believed() {
    let verifier = verifier();
    fuzz!(Forged, |token: &String| {
        let identity = verifier.identify(&presenting(token), NOW);
        let genuine = *token == known()[0];
        assert_eq!(identity.is_ok(), genuine, "{token}");
        genuine
    });
}

#[test]
fn a_signed_token_is_believed_if_its_claims_are_right() {
    let verifier = verifier();
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    fuzz!(CLAIMS, |claims: &String| {
        // Whatever is signed: it need not even be JSON.
        let token = match serde_json::from_str::<serde_json::Value>(claims) {
            Ok(claims) => encode(&Header::default(), &claims, &key).unwrap(),
            Err(_) => return false,
        };
        let claims: serde_json::Value = serde_json::from_str(claims).unwrap();
        match verifier.identify(&presenting(&token), NOW) {
            Ok(identity) => {
                assert_eq!(claims["sub"].as_str(), Some(identity.user_id.as_str()));
                let expires = claims["exp"].as_f64().expect("a number");
                assert!(expires * 1000.0 > 1.7e12, "{claims}");
                assert!(identity.expires_at.is_some_and(|at| at > NOW), "{claims}");
                assert!(
                    claims["nbf"].as_f64().is_none_or(|begins| (begins - 5.0) * 1000.0 <= 1.7e12),
                    "{claims}"
                );
                true
            }
            Err(_) => {
                let right = token.len() <= LONGEST_TOKEN
                    && claims["sub"].as_str().is_some_and(|sub| UserId::parse(sub).is_ok())
                    && claims["exp"].as_f64().is_some_and(|at| at > 1_700_000_000.001)
                    && claims["nbf"].is_null();
                assert!(!right, "{claims}");
                false
            }
        }
    });
}

const HEADERS: BrokenText = Broken::text(
    &["Bearer abc", "bearer abc", "Basic YTpi", "Bearer  abc ", "BEARER abc"],
    &[" ", "Bearer", "Bearer ", "\t", "abc", "é", ",", "\u{0}", "Basic"],
);

struct Presented;

impl ValueGenerator for Presented {
    type Output = (Option<String>, Vec<String>);

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Self::Output> {
        let payload = match below(driver, 3)? {
            0 => None,
            1 => Some("abc".to_owned()),
            _ => Some(HEADERS.generate(driver)?),
        };
        let headers =
            (0..below(driver, 3)?).map(|_| HEADERS.generate(driver)).collect::<Option<_>>()?;
        Some((payload, headers))
    }
}

#[test]
fn one_token_is_presented_or_none() {
    fuzz!(Presented, |(payload, headers): &(Option<String>, Vec<String>)| {
        let credentials = Credentials {
            token: payload.clone(),
            headers: headers
                .iter()
                .map(|value| ("authorization".to_owned(), value.clone().into_bytes()))
                .collect(),
            peer: None,
        };
        let Ok(token) = bearer::token(&credentials) else { return false };
        assert!(!token.is_empty());
        let from_payload = payload.as_deref() == Some(token);
        let from_header = headers.iter().any(|value| {
            let value = value.trim_matches(|it: char| it.is_ascii_whitespace());
            value.len() > 7
                && value[..].get(..7).is_some_and(|it| it.eq_ignore_ascii_case("bearer "))
                && value[7..].trim_start_matches(|it: char| it.is_ascii_whitespace()) == token
        });
        assert!(from_payload || from_header, "{token:?} of {payload:?} {headers:?}");
        // Another one beside it is never overlooked.
        let mut two = credentials.clone();
        two.headers.push(("authorization".to_owned(), format!("Bearer {token}x").into_bytes()));
        assert!(bearer::token(&two).is_err());
        true
    });
}
