//! Which tokens are believed: real tokens, signed here, against the verifier as configured.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what cannot happen fails the test")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use game_realtime_application::ports::{
    Credentials, Identity, IdentityVerifier, RefusedIdentity, VerifyError,
};
use game_realtime_domain::{Timestamp, UserId};
use game_realtime_identity_adapter::{
    Algorithm, Config, JwtConfig, MintError, Mode, TrustedHeaderConfig, build_verifier, mint,
};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};

const SECRET: &str = "a secret for these tests only";
/// 2023-11-14T22:13:20Z.
const NOW_SECONDS: u64 = 1_700_000_000;
const NOW: Timestamp = Timestamp::from_millis(NOW_SECONDS * 1000);

fn key_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
}

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(key_file(name)).unwrap()
}

fn config(jwt: JwtConfig) -> Config {
    Config {
        mode: Mode::Jwt,
        jwt,
        trusted_header: TrustedHeaderConfig { name: "X-User-ID".to_owned(), proxies: vec![] },
    }
}

fn jwt(algorithm: Algorithm) -> JwtConfig {
    JwtConfig {
        algorithm,
        secret: None,
        public_key_file: None,
        jwks_file: None,
        issuer: None,
        audience: None,
    }
}

fn hs256() -> JwtConfig {
    JwtConfig { secret: Some(SECRET.into()), ..jwt(Algorithm::Hs256) }
}

fn with_key_file(algorithm: Algorithm, name: &str) -> JwtConfig {
    JwtConfig { public_key_file: Some(key_file(name)), ..jwt(algorithm) }
}

fn claims() -> Value {
    json!({ "sub": "alice", "exp": NOW_SECONDS + 60 })
}

/// The usual claims with some replaced; `null` takes one away.
fn claims_with(changes: Value) -> Value {
    let mut claims: Map<String, Value> = serde_json::from_value(claims()).unwrap();
    claims.extend(serde_json::from_value::<Map<String, Value>>(changes).unwrap());
    claims.retain(|_, value| !value.is_null());
    Value::Object(claims)
}

fn signed(algorithm: jsonwebtoken::Algorithm, key: &EncodingKey, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, key).unwrap()
}

fn signed_hs256(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    signed(jsonwebtoken::Algorithm::HS256, &key, claims)
}

async fn present(
    verifier: &Arc<dyn IdentityVerifier>,
    token: impl Into<String>,
) -> Result<Identity, RefusedIdentity> {
    let credentials = Credentials { token: Some(token.into()), ..Credentials::default() };
    verifier.verify(&credentials, NOW).await.map_err(refusal)
}

fn refusal(error: VerifyError) -> RefusedIdentity {
    match error {
        VerifyError::Refused(refused) => refused,
        VerifyError::Unavailable(cause) => panic!("unavailable: {cause}"),
    }
}

async fn result(jwt: JwtConfig, token: impl Into<String>) -> Result<Identity, RefusedIdentity> {
    present(&build_verifier(&config(jwt)).unwrap(), token).await
}

/// What the one difference between a good token and `claims` leads to.
async fn result_of(claims: Value) -> Result<Identity, RefusedIdentity> {
    result(hs256(), signed_hs256(&claims)).await
}

#[tokio::test]
async fn a_good_token_names_the_user_and_says_until_when() {
    let identity = result_of(claims()).await.unwrap();
    assert_eq!(identity.user_id, UserId::parse("alice").unwrap());
    assert_eq!(identity.expires_at, Some(Timestamp::from_millis((NOW_SECONDS + 60) * 1000)));
}

#[tokio::test]
async fn nothing_is_missing() {
    let verifier = build_verifier(&config(hs256())).unwrap();
    let refused = verifier.verify(&Credentials::default(), NOW).await.unwrap_err();
    assert_eq!(refusal(refused), RefusedIdentity::Missing);
    assert_eq!(present(&verifier, "").await, Err(RefusedIdentity::Missing));
    assert_eq!(verifier.headers(), ["authorization"]);
}

#[tokio::test]
async fn the_authorization_header_is_as_good_as_the_payload_and_must_agree_with_it() {
    let verifier = build_verifier(&config(hs256())).unwrap();
    let alice = signed_hs256(&claims());
    let bob = signed_hs256(&claims_with(json!({ "sub": "bob" })));
    let mut credentials = Credentials {
        headers: vec![("authorization".to_owned(), format!("bearer {alice}").into_bytes())],
        ..Credentials::default()
    };
    assert_eq!(verifier.verify(&credentials, NOW).await.unwrap().user_id.as_str(), "alice");
    credentials.token = Some(bob);
    let refused = verifier.verify(&credentials, NOW).await.unwrap_err();
    assert_eq!(refusal(refused), RefusedIdentity::Contradictory);
}

#[tokio::test]
async fn a_token_counts_until_the_moment_it_expires() {
    assert!(result_of(claims_with(json!({ "exp": NOW_SECONDS + 1 }))).await.is_ok());
    assert!(result_of(claims_with(json!({ "exp": NOW_SECONDS as f64 + 0.5 }))).await.is_ok());
    for expired in [json!(NOW_SECONDS), json!(NOW_SECONDS - 1), json!(0), json!(-1)] {
        let result = result_of(claims_with(json!({ "exp": expired }))).await;
        assert_eq!(result, Err(RefusedIdentity::Expired), "{expired}");
    }
}

#[tokio::test]
async fn a_token_counts_from_five_seconds_before_its_nbf_on() {
    for seconds in [-60.0, 0.0, 0.5, 1.0, 5.0] {
        let nbf = f64::from(u32::try_from(NOW_SECONDS).unwrap()) + seconds;
        assert!(result_of(claims_with(json!({ "nbf": nbf }))).await.is_ok(), "{seconds}");
    }
    for seconds in [5.01, 6.0, 1e12] {
        let nbf = f64::from(u32::try_from(NOW_SECONDS).unwrap()) + seconds;
        let early = result_of(claims_with(json!({ "nbf": nbf }))).await;
        assert_eq!(early, Err(RefusedIdentity::NotYetValid), "{seconds}");
    }
}

#[tokio::test]
async fn when_a_token_was_issued_makes_no_difference() {
    for iat in [json!(NOW_SECONDS + 1), json!(NOW_SECONDS + 3600), json!(0), json!("now")] {
        assert!(result_of(claims_with(json!({ "iat": iat }))).await.is_ok(), "{iat}");
    }
}

#[tokio::test]
async fn missing_and_mistyped_claims_are_invalid() {
    for change in [
        json!({ "exp": null }),
        json!({ "exp": "tomorrow" }),
        json!({ "sub": null }),
        json!({ "sub": 7 }),
        json!({ "sub": ["alice"] }),
        json!({ "sub": "" }),
        json!({ "sub": "a\nb" }),
        json!({ "sub": "x".repeat(129) }),
        json!({ "nbf": "now" }),
    ] {
        let result = result_of(claims_with(change.clone())).await;
        assert_eq!(result, Err(RefusedIdentity::Invalid), "{change}");
    }
}

#[tokio::test]
async fn issuer_and_audience_must_match_when_configured_and_only_then() {
    let strict = || JwtConfig {
        issuer: Some("game".to_owned()),
        audience: Some("gateway".to_owned()),
        ..hs256()
    };
    for good in [
        json!({ "iss": "game", "aud": "gateway" }),
        json!({ "iss": "game", "aud": ["shop", "gateway"] }),
    ] {
        let token = signed_hs256(&claims_with(good.clone()));
        assert!(result(strict(), token.clone()).await.is_ok(), "{good}");
        assert!(result(hs256(), token).await.is_ok(), "{good}");
    }
    for bad in [
        json!({}),
        json!({ "iss": "game" }),
        json!({ "aud": "gateway" }),
        json!({ "iss": "other", "aud": "gateway" }),
        json!({ "iss": "game", "aud": "other" }),
        json!({ "iss": "game", "aud": [] }),
        json!({ "iss": "GAME", "aud": "gateway" }),
    ] {
        let result = result(strict(), signed_hs256(&claims_with(bad.clone()))).await;
        assert_eq!(result, Err(RefusedIdentity::Invalid), "{bad}");
    }
}

#[tokio::test]
async fn a_wrong_signature_is_invalid() {
    let good = signed_hs256(&claims());
    let (message, _) = good.rsplit_once('.').unwrap();
    let other_key = EncodingKey::from_secret(b"another secret");
    for bad in [
        signed(jsonwebtoken::Algorithm::HS256, &other_key, &claims()),
        format!("{message}."),
        message.to_owned(),
        format!("{good}.{good}"),
        "not a token".to_owned(),
        // A shorter one would do if signatures were compared by their prefix.
        good[..good.len() - 4].to_owned(),
    ] {
        assert_eq!(result(hs256(), bad.clone()).await, Err(RefusedIdentity::Invalid), "{bad}");
    }
}

#[tokio::test]
async fn an_unsigned_token_is_invalid() {
    // {"alg":"none","typ":"JWT"}
    let header = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let good = signed_hs256(&claims());
    let payload = good.split('.').nth(1).unwrap();
    let signature = good.split('.').nth(2).unwrap();
    for token in [format!("{header}.{payload}."), format!("{header}.{payload}.{signature}")] {
        assert_eq!(result(hs256(), token).await, Err(RefusedIdentity::Invalid));
    }
}

#[tokio::test]
async fn an_expired_token_with_a_wrong_signature_is_invalid_not_expired() {
    let key = EncodingKey::from_secret(b"another secret");
    let claims = claims_with(json!({ "exp": 1 }));
    let token = signed(jsonwebtoken::Algorithm::HS256, &key, &claims);
    assert_eq!(result(hs256(), token).await, Err(RefusedIdentity::Invalid));
}

#[tokio::test]
async fn a_token_with_a_critical_extension_is_invalid() {
    let mut header = Header::new(jsonwebtoken::Algorithm::HS256);
    header.crit = Some(vec!["exp".to_owned()]);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&header, &claims(), &key).unwrap();
    assert_eq!(result(hs256(), token).await, Err(RefusedIdentity::Invalid));
}

#[tokio::test]
async fn a_token_of_more_than_8_kibibytes_is_invalid() {
    let token = signed_hs256(&claims_with(json!({ "padding": "x".repeat(8 * 1024) })));
    assert_eq!(result(hs256(), token).await, Err(RefusedIdentity::Invalid));
    let token = signed_hs256(&claims_with(json!({ "padding": "x".repeat(4 * 1024) })));
    assert!(result(hs256(), token).await.is_ok());
}

#[tokio::test]
async fn each_public_key_algorithm_accepts_its_own_tokens_and_no_others() {
    use jsonwebtoken::Algorithm as Library;
    let rs256 = EncodingKey::from_rsa_pem(&pem("rs256.private.pem")).unwrap();
    let es256 = EncodingKey::from_ec_pem(&pem("es256.private.pem")).unwrap();
    let eddsa = EncodingKey::from_ed_pem(&pem("eddsa.private.pem")).unwrap();
    let tokens = [
        (Algorithm::Rs256, signed(Library::RS256, &rs256, &claims())),
        (Algorithm::Es256, signed(Library::ES256, &es256, &claims())),
        (Algorithm::EdDsa, signed(Library::EdDSA, &eddsa, &claims())),
        (Algorithm::Hs256, signed_hs256(&claims())),
    ];
    for (algorithm, file) in [
        (Algorithm::Rs256, "rs256.public.pem"),
        (Algorithm::Es256, "es256.public.pem"),
        (Algorithm::EdDsa, "eddsa.public.pem"),
    ] {
        let verifier = build_verifier(&config(with_key_file(algorithm, file))).unwrap();
        for (other, token) in &tokens {
            let believed = present(&verifier, token).await.is_ok();
            assert_eq!(believed, algorithm == *other, "{algorithm:?} given {other:?}");
        }
        // RS384 or PS256 with the very same key.
        for sibling in [Library::RS384, Library::PS256] {
            let token = signed(sibling, &rs256, &claims());
            assert_eq!(present(&verifier, token).await, Err(RefusedIdentity::Invalid));
        }
    }
}

#[tokio::test]
async fn a_token_signed_with_the_public_key_as_an_hmac_secret_is_invalid() {
    let key = EncodingKey::from_secret(&pem("rs256.public.pem"));
    let token = signed(jsonwebtoken::Algorithm::HS256, &key, &claims());
    let result = result(with_key_file(Algorithm::Rs256, "rs256.public.pem"), token).await;
    assert_eq!(result, Err(RefusedIdentity::Invalid));
}

/// Every algorithm with what it is configured with and what signs for it.
fn algorithms() -> [(JwtConfig, jsonwebtoken::Algorithm, EncodingKey); 4] {
    use jsonwebtoken::Algorithm as Library;
    let rs256 = EncodingKey::from_rsa_pem(&pem("rs256.private.pem")).unwrap();
    let es256 = EncodingKey::from_ec_pem(&pem("es256.private.pem")).unwrap();
    let eddsa = EncodingKey::from_ed_pem(&pem("eddsa.private.pem")).unwrap();
    [
        (hs256(), Library::HS256, EncodingKey::from_secret(SECRET.as_bytes())),
        (with_key_file(Algorithm::Rs256, "rs256.public.pem"), Library::RS256, rs256),
        (with_key_file(Algorithm::Es256, "es256.public.pem"), Library::ES256, es256),
        (with_key_file(Algorithm::EdDsa, "eddsa.public.pem"), Library::EdDSA, eddsa),
    ]
}

#[tokio::test]
async fn every_algorithm_refuses_the_whole_matrix() {
    for (config_of, library, key) in algorithms() {
        let case = config_of.algorithm;
        let public = config_of.public_key_file.clone();
        let verifier = build_verifier(&config(config_of)).unwrap();
        let good = signed(library, &key, &claims());
        assert!(present(&verifier, &good).await.is_ok(), "{case:?}");

        for (change, refused) in [
            (json!({ "exp": NOW_SECONDS }), RefusedIdentity::Expired),
            (json!({ "exp": 1 }), RefusedIdentity::Expired),
            (json!({ "nbf": NOW_SECONDS + 6 }), RefusedIdentity::NotYetValid),
            (json!({ "exp": null }), RefusedIdentity::Invalid),
            (json!({ "exp": "2100-01-01" }), RefusedIdentity::Invalid),
            (json!({ "sub": null }), RefusedIdentity::Invalid),
            (json!({ "sub": "" }), RefusedIdentity::Invalid),
            (json!({ "sub": 7 }), RefusedIdentity::Invalid),
            (json!({ "sub": "a\u{0}b" }), RefusedIdentity::Invalid),
        ] {
            let token = signed(library, &key, &claims_with(change.clone()));
            assert_eq!(present(&verifier, token).await, Err(refused), "{case:?} {change}");
        }

        let parts: Vec<_> = good.split('.').collect();
        // {"alg":"none","typ":"JWT"}
        let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
        let other = signed(library, &key, &claims_with(json!({ "sub": "mallory" })));
        let other_payload = other.split('.').nth(1).unwrap();
        let mut forged = vec![
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{other_payload}.{}", parts[0], parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], other.split('.').nth(2).unwrap()),
            good.to_ascii_lowercase(),
        ];
        if let Some(file) = public {
            let text = std::fs::read_to_string(file).unwrap();
            for secret in [text.as_str(), text.trim()] {
                let key = EncodingKey::from_secret(secret.as_bytes());
                forged.push(signed(jsonwebtoken::Algorithm::HS256, &key, &claims()));
            }
        }
        for token in forged {
            let result = present(&verifier, &token).await;
            assert_eq!(result, Err(RefusedIdentity::Invalid), "{case:?} {token}");
        }

        let mut credentials = Credentials {
            headers: vec![("authorization".to_owned(), format!("Bearer {other}").into_bytes())],
            token: Some(good),
            ..Credentials::default()
        };
        let both = verifier.verify(&credentials, NOW).await.unwrap_err();
        assert_eq!(refusal(both), RefusedIdentity::Contradictory, "{case:?}");
        credentials = Credentials::default();
        let none = verifier.verify(&credentials, NOW).await.unwrap_err();
        assert_eq!(refusal(none), RefusedIdentity::Missing, "{case:?}");
    }
}

#[tokio::test]
async fn a_minted_token_is_believed_as_long_as_it_was_minted_for() {
    let config = config(JwtConfig {
        issuer: Some("game".to_owned()),
        audience: Some("gateway".to_owned()),
        ..hs256()
    });
    let user = UserId::parse("alice").unwrap();
    let token = mint(&config, &user, Duration::from_secs(60), NOW).unwrap();
    let identity = present(&build_verifier(&config).unwrap(), token).await.unwrap();
    assert_eq!(identity.user_id, user);
    assert_eq!(identity.expires_at, Some(Timestamp::from_millis((NOW_SECONDS + 60) * 1000)));
}

#[test]
fn only_a_shared_secret_mints() {
    let user = UserId::parse("alice").unwrap();
    let refused = |config| mint(&config, &user, Duration::from_secs(60), NOW).unwrap_err();
    let asymmetric = config(with_key_file(Algorithm::Rs256, "rs256.public.pem"));
    assert!(matches!(refused(asymmetric), MintError::NotShared(Algorithm::Rs256)));
    assert!(matches!(refused(config(jwt(Algorithm::Hs256))), MintError::NoSecret));
    let header = Config { mode: Mode::TrustedHeader, ..config(hs256()) };
    assert!(matches!(refused(header), MintError::NotJwt));
}
