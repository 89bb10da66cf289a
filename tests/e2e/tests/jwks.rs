//! Tokens of an identity provider that changes its keys while players are connected.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail")]

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use game_realtime_e2e::{
    ConnectOptions, Driver, Library, Namespace, PATIENCE, Server, Settings, Store, shape,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp, jwk::Jwk};
use serde_json::json;
use tokio::time::{sleep, timeout};

/// An Ed25519 key of its own for every seed (RFC 8410, section 7).
fn key(seed: u8) -> EncodingKey {
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([seed; 32]);
    EncodingKey::from_ed_der(&der)
}

fn key_set(seeds: &[u8]) -> String {
    let keys = seeds.iter().map(|seed| {
        let mut jwk = Jwk::from_encoding_key(&key(*seed), Algorithm::EdDSA).unwrap();
        jwk.common.key_id = Some(seed.to_string());
        jwk
    });
    json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
}

fn token(seed: u8) -> String {
    let header = Header { kid: Some(seed.to_string()), ..Header::new(Algorithm::EdDSA) };
    let claims = json!({ "sub": "alice", "exp": get_current_timestamp() + 3600 });
    encode(&header, &claims, &key(seed)).unwrap()
}

async fn await_outcome(driver: &Driver, server: &Server, token: &str, believed: bool) {
    let options = ConnectOptions::player(&server.url(), token);
    let turned = async {
        loop {
            match driver.connect(&options).await {
                Ok(client) => {
                    shape::assert_ready(client.ready(), Namespace::Private, Some("alice"), "fresh");
                    client.disconnect().await;
                    if believed {
                        return;
                    }
                }
                Err(refused) => {
                    assert_eq!(refused.message, "unauthenticated");
                    if !believed {
                        return;
                    }
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, turned).await.expect("the keys are read again");
}

async fn await_failures(server: &Server, count: usize) {
    let failed = format!(r#"game_realtime_jwks_reloads_total{{outcome="failed"}} {count}"#);
    let seen = async {
        while !server.admin("/metrics").await.unwrap().body.contains(&failed) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, seen).await.expect("the bad file is noticed");
}

fn put(directory: &Path, version: &str, text: &str) {
    fs::create_dir(directory.join(version)).unwrap();
    fs::write(directory.join(version).join("jwks.json"), text).unwrap();
    symlink(version, directory.join("..next")).unwrap();
    fs::rename(directory.join("..next"), directory.join("..data")).unwrap();
}

#[tokio::test]
async fn keys_are_replaced_without_a_restart_and_a_bad_file_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    put(directory.path(), "..1", &key_set(&[1]));
    // As Kubernetes mounts a secret.
    let file = directory.path().join("jwks.json");
    symlink("..data/jwks.json", &file).unwrap();
    let settings = Settings::new(&Store::Memory)
        .without("auth.jwt.secret")
        .with("auth.jwt.algorithm", "EdDSA")
        .with("auth.jwt.jwks_file", file.to_str().unwrap());
    let server = Server::start(&settings).await;
    let driver = Driver::start(Library::JavaScript4);
    let first = ConnectOptions::player(&server.url(), &token(1));
    let stays = driver.connect(&first).await.unwrap();

    put(directory.path(), "..2", "{");
    await_failures(&server, 1).await;
    await_outcome(&driver, &server, &token(1), true).await;
    // A bug of a library that reads it is no different.
    server.panic_at("key set");
    put(directory.path(), "..2-cursed", &key_set(&[3]));
    await_failures(&server, 2).await;
    await_outcome(&driver, &server, &token(1), true).await;

    put(directory.path(), "..3", &key_set(&[2]));
    await_outcome(&driver, &server, &token(2), true).await;
    await_outcome(&driver, &server, &token(1), false).await;
    assert_eq!(stays.count_lifecycle("disconnect"), 0, "who is in stays until the token ends");
    let log = server.log();
    let warnings = log.lines().filter(|line| line.contains("\"WARN\"")).collect::<Vec<_>>();
    assert_eq!(warnings.len(), 2, "once per change: {warnings:?}");
    let said = warnings.iter().filter(|line| line.contains("is not a JSON Web Key Set"));
    assert_eq!(said.count(), 2, "{warnings:?}");
    server.stop().await;
}
