//! Keys from a JSON Web Key Set: which of them count, for which token, and from when on.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot happen fails the test"
)]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use game_realtime_application::{
    panics::Watchdog,
    ports::{Credentials, IdentityVerifier, RefusedIdentity, VerifyError},
};
use game_realtime_domain::Timestamp;
use game_realtime_identity_adapter::{
    Algorithm, Config, JwtConfig, Mode, TrustedHeaderConfig, build_verifier, start_verifier,
};
use jsonwebtoken::{Algorithm as Library, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const NOW_SECONDS: u64 = 1_700_000_000;
const NOW: Timestamp = Timestamp::from_millis(NOW_SECONDS * 1000);
/// The file is looked at every second; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

fn pem(name: &str) -> Vec<u8> {
    let keys = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    fs::read(keys.join(name)).unwrap()
}

/// The algorithms of public keys, each with a key.
fn signers() -> [(Algorithm, Library, EncodingKey); 3] {
    [
        (
            Algorithm::Rs256,
            Library::RS256,
            EncodingKey::from_rsa_pem(&pem("rs256.private.pem")).unwrap(),
        ),
        (
            Algorithm::Es256,
            Library::ES256,
            EncodingKey::from_ec_pem(&pem("es256.private.pem")).unwrap(),
        ),
        (
            Algorithm::EdDsa,
            Library::EdDSA,
            EncodingKey::from_ed_pem(&pem("eddsa.private.pem")).unwrap(),
        ),
    ]
}

/// An Ed25519 key of its own for every seed (RFC 8410, section 7).
fn ed25519(seed: u8) -> EncodingKey {
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([seed; 32]);
    EncodingKey::from_ed_der(&der)
}

/// The public half, as a set has it.
fn public(algorithm: Library, key: &EncodingKey, more: &Value) -> Value {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, algorithm).unwrap()).unwrap();
    let fields = jwk.as_object_mut().unwrap();
    for (name, value) in more.as_object().unwrap() {
        fields.insert(name.clone(), value.clone());
    }
    fields.retain(|_, value| !value.is_null());
    jwk
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn token(algorithm: Library, key: &EncodingKey, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, &json!({ "sub": "alice", "exp": NOW_SECONDS + 60 }), key).unwrap()
}

fn config(algorithm: Algorithm, file: &Path) -> Config {
    Config {
        mode: Mode::Jwt,
        jwt: JwtConfig {
            algorithm,
            secret: None,
            public_key_file: None,
            jwks_file: Some(file.to_path_buf()),
            issuer: None,
            audience: None,
        },
        trusted_header: TrustedHeaderConfig { name: "X-User-ID".to_owned(), proxies: vec![] },
    }
}

struct File {
    directory: TempDir,
    path: PathBuf,
}

impl File {
    fn with(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jwks.json");
        fs::write(&path, text).unwrap();
        Self { directory, path }
    }

    fn replace(&self, text: &str) {
        let next = self.directory.path().join("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, &self.path).unwrap();
    }
}

async fn believes(verifier: &Arc<dyn IdentityVerifier>, token: &str) -> bool {
    let credentials = Credentials { token: Some(token.to_owned()), ..Credentials::default() };
    match verifier.verify(&credentials, NOW).await {
        Ok(identity) => identity.user_id.as_str() == "alice",
        Err(VerifyError::Refused(RefusedIdentity::Invalid)) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn await_believed(verifier: &Arc<dyn IdentityVerifier>, token: &str, believed: bool) {
    let turned = async {
        while believes(verifier, token).await != believed {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, turned).await.expect("the file is read again");
}

fn fault(algorithm: Algorithm, text: &str) -> String {
    let file = File::with(text);
    let faults = build_verifier(&config(algorithm, &file.path)).err().unwrap();
    assert_eq!(faults.len(), 1);
    faults[0].to_string().replace(&file.path.display().to_string(), "FILE")
}

#[tokio::test]
async fn the_kid_of_a_token_names_its_key() {
    let (a, b, c) = (ed25519(1), ed25519(2), ed25519(3));
    let of = |kid: &str, key| public(Library::EdDSA, key, &json!({ "kid": kid }));
    let nameless = public(Library::EdDSA, &c, &json!({}));
    let file = File::with(&set(&[of("a", &a), of("b", &b), nameless]));
    let verifier = build_verifier(&config(Algorithm::EdDsa, &file.path)).unwrap();
    for (key, kid, believed) in [
        (&a, Some("a"), true),
        (&b, Some("b"), true),
        (&a, Some("b"), false),
        (&c, Some("c"), false),
        (&c, Some(""), false),
        // More than one key could be meant.
        (&a, None, false),
        (&c, None, false),
    ] {
        let token = token(Library::EdDSA, key, kid);
        assert_eq!(believes(&verifier, &token).await, believed, "{kid:?}");
    }
}

#[tokio::test]
async fn a_token_without_kid_needs_a_set_with_one_usable_key() {
    for (algorithm, library, key) in signers() {
        let secret = json!({ "kty": "oct", "kid": "s", "k": "c2VjcmV0" });
        let file = File::with(&set(&[public(library, &key, &json!({ "kid": "a" })), secret]));
        let verifier = build_verifier(&config(algorithm, &file.path)).unwrap();
        for (kid, believed) in [(None, true), (Some("a"), true), (Some("s"), false)] {
            let token = token(library, &key, kid);
            assert_eq!(believes(&verifier, &token).await, believed, "{algorithm:?} {kid:?}");
        }
    }
}

#[tokio::test]
async fn a_token_signed_with_anything_that_is_in_the_set_as_an_hmac_secret_is_invalid() {
    for (algorithm, library, key) in signers() {
        let jwk = public(library, &key, &json!({ "kid": "a" }));
        let secret = json!({ "kty": "oct", "kid": "s", "alg": "HS256", "k": "c2VjcmV0" });
        let text = set(&[jwk.clone(), secret]);
        let file = File::with(&text);
        let verifier = build_verifier(&config(algorithm, &file.path)).unwrap();
        let halves = ["n", "x", "y"].iter().filter_map(|name| jwk[name].as_str());
        for secret in halves.chain(["secret", &text]) {
            for kid in [None, Some("a"), Some("s")] {
                let forged = EncodingKey::from_secret(secret.as_bytes());
                let token = token(Library::HS256, &forged, kid);
                assert!(!believes(&verifier, &token).await, "{algorithm:?} {kid:?}");
            }
        }
    }
}

#[test]
fn only_keys_that_are_meant_for_the_algorithm_count() {
    for (algorithm, library, key) in signers() {
        for good in [
            json!({}),
            json!({ "alg": null }),
            json!({ "use": "sig" }),
            json!({ "key_ops": ["verify"] }),
        ] {
            let file = File::with(&set(&[public(library, &key, &good)]));
            assert!(build_verifier(&config(algorithm, &file.path)).is_ok(), "{algorithm:?} {good}");
        }
        let mut bad = vec![
            json!({ "alg": "RS512" }),
            json!({ "alg": "PS256" }),
            json!({ "alg": "HS256" }),
            json!({ "alg": "unheard of" }),
            json!({ "use": "enc" }),
            json!({ "key_ops": ["encrypt"] }),
            json!({ "kty": "oct", "k": "c2VjcmV0" }),
            json!({ "kty": "unheard of" }),
        ];
        match algorithm {
            Algorithm::Rs256 => bad.extend([
                json!({ "n": "c2hvcnQ" }),
                json!({ "n": "not base64!" }),
                json!({ "e": null }),
                // 1024 bits, and as many zeros.
                json!({ "n": format!("{}{}A", "A".repeat(172), "B".repeat(170)) }),
            ]),
            Algorithm::Es256 => bad.extend([
                json!({ "crv": "P-384" }),
                json!({ "x": "AAAA" }),
                json!({ "y": null }),
            ]),
            Algorithm::EdDsa => bad.extend([json!({ "crv": "Ed448" }), json!({ "x": "AAAA" })]),
            Algorithm::Hs256 => {}
        }
        for bad in bad {
            let text = set(&[public(library, &key, &bad)]);
            assert_eq!(
                fault(algorithm, &text),
                format!(
                    "auth.jwt.jwks_file: FILE holds no key that can check {} signatures: 1 keys, \
                     none with fitting kty, crv, alg, use and key_ops (and at least 2048 bits, if \
                     RSA)",
                    algorithm.as_str(),
                ),
                "{bad}",
            );
        }
        for (_, other, key) in signers().into_iter().filter(|(_, it, _)| *it != library) {
            fault(algorithm, &set(&[public(other, &key, &json!({}))]));
        }
    }
}

#[test]
fn a_file_that_is_no_key_set_is_a_fault_of_its_key() {
    for text in ["", "{}", "[]", "null", "{\"keys\": {}}", "{\"keys\": [", "-----BEGIN"] {
        let fault = fault(Algorithm::Es256, text);
        assert_eq!(fault, "auth.jwt.jwks_file: FILE is not a JSON Web Key Set", "{text:?}");
    }
    assert!(fault(Algorithm::Es256, "{\"keys\": []}").contains("0 keys"));
    assert!(fault(Algorithm::Es256, &" ".repeat(2 << 20)).contains("larger than 1 MiB"));
    let twice = public(Library::EdDSA, &ed25519(1), &json!({ "kid": "a" }));
    assert_eq!(
        fault(Algorithm::EdDsa, &set(&[twice.clone(), twice])),
        "auth.jwt.jwks_file: FILE holds two usable keys with the kid \"a\"",
    );
    let directory = tempfile::tempdir().unwrap();
    for (path, reason) in
        [(directory.path().to_path_buf(), "regular file"), ("/nowhere/x".into(), "No such file")]
    {
        let faults = build_verifier(&config(Algorithm::Es256, &path)).err().unwrap();
        let fault = faults[0].to_string();
        assert!(fault.starts_with("auth.jwt.jwks_file: cannot read "), "{fault}");
        assert!(fault.contains(reason), "{fault}");
    }
}

/// A verifier that follows its file, and what ends that.
struct Following {
    verifier: Arc<dyn IdentityVerifier>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Following {
    fn start(path: &Path) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let config = config(Algorithm::EdDsa, path);
        let verifier = start_verifier(&config, &tasks, stop.clone(), &Watchdog::new()).unwrap();
        Self { verifier, tasks, stop }
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        timeout(Duration::from_secs(1), self.tasks.wait()).await.expect("it ends when told to");
    }
}

fn ed_set(seeds: &[u8]) -> String {
    let keys = seeds
        .iter()
        .map(|seed| public(Library::EdDSA, &ed25519(*seed), &json!({ "kid": seed.to_string() })));
    set(&keys.collect::<Vec<_>>())
}

fn ed_token(seed: u8) -> String {
    token(Library::EdDSA, &ed25519(seed), Some(&seed.to_string()))
}

#[tokio::test]
async fn a_file_that_is_renamed_over_or_rewritten_is_read_again() {
    let file = File::with(&ed_set(&[1]));
    let following = Following::start(&file.path);
    assert!(believes(&following.verifier, &ed_token(1)).await);
    file.replace(&ed_set(&[1, 2]));
    await_believed(&following.verifier, &ed_token(2), true).await;
    assert!(believes(&following.verifier, &ed_token(1)).await);
    // As long as before.
    fs::write(&file.path, ed_set(&[3, 2])).unwrap();
    await_believed(&following.verifier, &ed_token(1), false).await;
    assert!(believes(&following.verifier, &ed_token(3)).await);
    following.end().await;
}

#[tokio::test]
async fn the_symbolic_links_of_a_kubernetes_volume_are_followed() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for (version, seed) in [("..v1", 1), ("..v2", 2)] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("jwks.json"), ed_set(&[seed])).unwrap();
    }
    symlink("..v1", at("..data")).unwrap();
    symlink("..data/jwks.json", at("jwks.json")).unwrap();
    let following = Following::start(&at("jwks.json"));
    symlink("..v2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    fs::remove_dir_all(at("..v1")).unwrap();
    await_believed(&following.verifier, &ed_token(2), true).await;
    assert!(!believes(&following.verifier, &ed_token(1)).await);
    following.end().await;
}

#[tokio::test]
async fn what_cannot_be_used_leaves_the_keys_as_they_are() {
    let file = File::with(&ed_set(&[1]));
    let following = Following::start(&file.path);
    for bad in ["", "{\"keys\": []}", "half of a fi"] {
        file.replace(bad);
        sleep(Duration::from_millis(1_300)).await;
        assert!(believes(&following.verifier, &ed_token(1)).await, "{bad:?}");
    }
    fs::remove_file(&file.path).unwrap();
    sleep(Duration::from_millis(1_300)).await;
    assert!(believes(&following.verifier, &ed_token(1)).await);
    file.replace(&ed_set(&[2]));
    await_believed(&following.verifier, &ed_token(2), true).await;
    assert!(!believes(&following.verifier, &ed_token(1)).await);
    following.end().await;
}
