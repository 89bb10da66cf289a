//! Which keys a configuration may name: exactly one, and one that fits the algorithm.

use std::{fs, path::PathBuf};

use game_realtime_identity_adapter::{
    Algorithm, Config, JwtConfig, Mode, TrustedHeaderConfig, build_verifier,
};

const SECRET: &str = "a secret for these tests only";

struct Sources {
    secret: Option<&'static str>,
    public_key_file: Option<PathBuf>,
    jwks_file: bool,
}

const NONE: Sources = Sources { secret: None, public_key_file: None, jwks_file: false };

fn key_file(name: &str) -> Option<PathBuf> {
    Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name))
}

fn config(algorithm: Algorithm, sources: Sources) -> Config {
    Config {
        mode: Mode::Jwt,
        jwt: JwtConfig {
            algorithm,
            secret: sources.secret.map(Into::into),
            public_key_file: sources.public_key_file,
            jwks_file: sources.jwks_file.then(|| "/nowhere/jwks.json".into()),
            issuer: None,
            audience: None,
        },
        trusted_header: TrustedHeaderConfig { name: "X-User-ID".to_owned(), proxies: vec![] },
    }
}

/// The faults, one a line; empty if there are none.
fn faults(algorithm: Algorithm, sources: Sources) -> String {
    let faults = build_verifier(&config(algorithm, sources)).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn hs256_takes_a_secret_and_nothing_else() {
    assert_eq!(faults(Algorithm::Hs256, Sources { secret: Some(SECRET), ..NONE }), "");
    for secret in [None, Some("")] {
        assert_eq!(
            faults(Algorithm::Hs256, Sources { secret, ..NONE }),
            "auth.jwt.secret: missing, algorithm HS256 needs it",
        );
    }
    let all = Sources {
        secret: Some(SECRET),
        public_key_file: key_file("rs256.public.pem"),
        jwks_file: true,
    };
    assert_eq!(
        faults(Algorithm::Hs256, all),
        "auth.jwt.public_key_file: does not fit algorithm HS256, which takes auth.jwt.secret\n\
         auth.jwt.jwks_file: does not fit algorithm HS256, which takes auth.jwt.secret",
    );
}

#[test]
fn the_other_algorithms_take_exactly_one_public_key_source() {
    assert_eq!(
        faults(Algorithm::Es256, NONE),
        "auth.jwt.public_key_file: missing, algorithm ES256 needs it or auth.jwt.jwks_file",
    );
    assert_eq!(
        faults(Algorithm::Es256, Sources { jwks_file: true, ..NONE }),
        "auth.jwt.jwks_file: cannot read /nowhere/jwks.json: \
         No such file or directory (os error 2)",
    );
    let two = Sources { public_key_file: key_file("es256.public.pem"), jwks_file: true, ..NONE };
    assert_eq!(
        faults(Algorithm::Es256, two),
        "auth.jwt.jwks_file: cannot be combined with auth.jwt.public_key_file",
    );
    let secret = Sources {
        secret: Some(SECRET),
        public_key_file: key_file("es256.public.pem"),
        jwks_file: false,
    };
    assert_eq!(
        faults(Algorithm::Es256, secret),
        "auth.jwt.secret: does not fit algorithm ES256, which takes a public key",
    );
}

#[test]
fn a_public_key_file_holds_a_public_key_of_the_algorithm() {
    let good = [
        (Algorithm::Rs256, "rs256.public.pem"),
        (Algorithm::Es256, "es256.public.pem"),
        (Algorithm::EdDsa, "eddsa.public.pem"),
    ];
    for (algorithm, own) in good {
        for (_, name) in good {
            let sources = Sources { public_key_file: key_file(name), ..NONE };
            assert_eq!(faults(algorithm, sources).is_empty(), name == own, "{algorithm:?} {name}");
        }
        let names = ["rs256.private.pem", "es256.private.pem", "eddsa.private.pem", "README.md"];
        for name in names.into_iter().chain(["p384.public.pem"]) {
            let file = key_file(name);
            let path = file.clone().unwrap();
            assert_eq!(
                faults(algorithm, Sources { public_key_file: file, ..NONE }),
                format!(
                    "auth.jwt.public_key_file: {} is not a PEM public key for algorithm {}",
                    path.display(),
                    algorithm.as_str(),
                ),
            );
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let sources = Sources { public_key_file: Some("/nowhere/key.pem".into()), ..NONE };
    assert_eq!(
        faults(Algorithm::Rs256, sources),
        "auth.jwt.public_key_file: cannot read /nowhere/key.pem: \
         No such file or directory (os error 2)",
    );
}

#[test]
fn a_short_rsa_key_is_a_fault() {
    let sources = Sources { public_key_file: key_file("rsa1024.public.pem"), ..NONE };
    assert!(
        faults(Algorithm::Rs256, sources).ends_with("holds an RSA key of fewer than 2048 bits"),
    );
}

#[test]
fn a_cut_off_ed25519_key_is_a_fault_and_not_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("short.pem");
    // SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 8 bytes }
    fs::write(
        &path,
        "-----BEGIN PUBLIC KEY-----\nMBIwBQYDK2VwAwkAAQIDBAUGBwg=\n-----END PUBLIC KEY-----\n",
    )
    .unwrap();
    let sources = Sources { public_key_file: Some(path), ..NONE };
    assert!(
        faults(Algorithm::EdDsa, sources).ends_with("not a PEM public key for algorithm EdDSA")
    );
}

#[test]
fn a_bad_proxy_is_a_fault_in_either_mode() {
    for mode in [Mode::Jwt, Mode::TrustedHeader] {
        let mut config = config(Algorithm::Hs256, Sources { secret: Some(SECRET), ..NONE });
        config.mode = mode;
        config.trusted_header.proxies = vec!["10.0.0.1".to_owned()];
        let faults = build_verifier(&config).err().unwrap();
        assert_eq!(
            faults[0].to_string(),
            "auth.trusted_header.proxies: \"10.0.0.1\" is not a CIDR such as \"10.0.0.0/8\"; \
             a single address ends in /32 or /128",
        );
    }
}

#[test]
fn a_configuration_never_prints_its_secret() {
    let config = config(Algorithm::Hs256, Sources { secret: Some(SECRET), ..NONE });
    assert!(!format!("{config:?}").contains(SECRET));
}
