//! Users, passwords and roles of etcd that change while nodes run.

use std::{env, fs, sync::Arc, time::Duration};

use etcd_client::{Client, ConnectOptions, Permission, PermissionType};
use game_realtime_contract::{WallClock, unique_id};
use game_realtime_etcd_adapter::{Config, EtcdStore};

use crate::support::{Following, Meddler, Member, append, config, node, options, ready, until};

const PATIENCE: Duration = Duration::from_secs(10);
const ROOT: (&str, &str) = ("root", "staple");

/// A configuration with credentials.
fn of_user(endpoint: &str, name: &str) -> Config {
    let (username, password) = (name.to_owned(), format!("horse of {name}").into());
    Config { username, password, ..config(endpoint) }
}

/// Names users and roles as the documentation says. Authentication stays off.
async fn create_users(endpoint: &str, config: &Config) -> Client {
    let mut etcd = Client::connect([endpoint], None).await.expect("etcd answers");
    etcd.user_add(ROOT.0, ROOT.1, None).await.expect("a user");
    etcd.user_grant_role("root", "root").await.expect("a role");
    etcd.role_add("game").await.expect("a role");
    grant(&mut etcd, config).await;
    create_user(&mut etcd, &config.username).await;
    etcd
}

async fn create_user(etcd: &mut Client, name: &str) {
    etcd.user_add(name, format!("horse of {name}"), None).await.expect("a user");
    etcd.user_grant_role(name, "game").await.expect("a role");
}

async fn grant(etcd: &mut Client, config: &Config) {
    let below = format!("{}/", config.prefix);
    let permission = Permission::new(PermissionType::Readwrite, below).with_prefix();
    etcd.role_grant_permission("game", permission).await.expect("a permission");
}

async fn as_root(endpoint: &str) -> Client {
    let options = ConnectOptions::new().with_user(ROOT.0, ROOT.1);
    Client::connect([endpoint], Some(options)).await.expect("etcd answers")
}

/// Writes now, and has the feed go on.
async fn goes_on(what: &str, store: &EtcdStore, following: &Following) {
    let before = following.events();
    for _ in 0..5 {
        assert_eq!(append(store).await, Ok(()), "{what}");
    }
    until(what, PATIENCE, || async { following.events() >= before + 5 }).await;
    ready(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authentication_is_switched_on_and_off_under_nodes_that_miss_nothing() {
    let etcd = Member::start(&[]).await;
    let endpoint = etcd.endpoint();
    let config = of_user(&endpoint, "game");
    let store = node(&config, options(), Arc::new(WallClock));
    ready(&store).await;
    let following = Following::start(&store).await;
    let mut plain = create_users(&endpoint, &config).await;
    goes_on("authentication is off", &store, &following).await;
    for round in 1..=2 {
        plain.auth_enable().await.expect("authentication is on");
        goes_on(&format!("authentication is on, round {round}"), &store, &following).await;
        let late = node(&config, options(), Arc::new(WallClock));
        ready(&late).await;
        late.close().await;
        as_root(&endpoint).await.auth_disable().await.expect("authentication is off");
        goes_on(&format!("authentication is off, round {round}"), &store, &following).await;
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_user_takes_over_and_a_role_that_is_granted_again_is_used_again() {
    let etcd = Member::start(&[]).await;
    let endpoint = etcd.endpoint();
    let config = of_user(&endpoint, "game");
    create_users(&endpoint, &config).await.auth_enable().await.expect("authentication is on");
    let mut root = as_root(&endpoint).await;
    let old = node(&config, options(), Arc::new(WallClock));
    ready(&old).await;

    create_user(&mut root, "game-2").await;
    let config = Config { prefix: config.prefix.clone(), ..of_user(&endpoint, "game-2") };
    let new = node(&config, options(), Arc::new(WallClock));
    ready(&new).await;
    assert_eq!(append(&old).await, Ok(()));
    root.user_delete("game").await.expect("deleted");
    let refused = append(&old).await.expect_err("its user is gone");
    assert!(refused.contains("invalid user ID or password"), "{refused}");
    assert!(old.health().check().await.is_err());
    let following = Following::start(&new).await;
    goes_on("the new user", &new, &following).await;

    let end = format!("{}0", config.prefix);
    let range = etcd_client::RoleRevokePermissionOptions::new().with_range_end(end);
    root.role_revoke_permission("game", format!("{}/", config.prefix), Some(range))
        .await
        .expect("revoked");
    let refused = append(&new).await.expect_err("it may no longer");
    assert!(refused.contains("permission denied"), "{refused}");
    grant(&mut root, &config).await;
    goes_on("it may again", &new, &following).await;
    old.close().await;
    new.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_json_web_token_from_before_the_last_change_of_users_is_renewed_with_every_version() {
    let key = env::temp_dir().join(format!("game-realtime-jwt-{}", unique_id()));
    fs::write(&key, "a secret that signs tokens of one test").expect("a file");
    let tokens = format!("--auth-token=jwt,priv-key={},sign-method=HS256,ttl=10m", key.display());
    let etcd = Member::start(&[&tokens]).await;
    let endpoint = etcd.endpoint();
    let meddler = Meddler::before(&endpoint).await;
    let config = of_user(&meddler.endpoint(), "game");
    create_users(&endpoint, &config).await.auth_enable().await.expect("authentication is on");
    let store = node(&config, options(), Arc::new(WallClock));
    ready(&store).await;
    let following = Following::start(&store).await;
    for (code, text) in [
        (2, "auth: revision in header is old"),
        (3, "etcdserver: revision of auth store is old"),
        (16, "etcdserver: invalid auth token"),
    ] {
        meddler.recode("is old", code, text);
        let calls = meddler.calls("Authenticate");
        let name = format!("somebody-{code}");
        as_root(&endpoint).await.user_add(name, "else", None).await.expect("a user");
        goes_on(text, &store, &following).await;
        assert!(meddler.calls("Authenticate") > calls, "{text}");
        assert!(meddler.calls("Authenticate") <= calls + 3, "{text}");
    }
    store.close().await;
    fs::remove_file(key).ok();
}
