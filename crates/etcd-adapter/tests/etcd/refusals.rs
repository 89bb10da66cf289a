//! What a node does when etcd refuses a call, whatever code the version at hand gives the refusal.

use std::{sync::Arc, time::Duration};

use game_realtime_contract::{ConnectionBuilder, WallClock};
use game_realtime_etcd_adapter::{Config, EtcdStore};

use crate::support::{
    Meddler, Raw, Recorder, append, config, node, options, ready, shared_etcd, until,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// Invalid argument, not found, permission denied, failed precondition, unavailable, unknown, and
/// unauthenticated.
const CODES: [i32; 7] = [3, 5, 7, 9, 14, 2, 16];
const ALWAYS: usize = usize::MAX;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_a_token_renew_it_and_the_call_is_made_again_whatever_their_code() {
    let meddler = Meddler::before(&shared_etcd().await.endpoint()).await;
    // Authentication is off; the node asks for a token nevertheless.
    let config = Config { username: "game".to_owned(), ..config(&meddler.endpoint()) };
    let store = node(&config, options(), Arc::new(WallClock));
    ready(&store).await;
    for text in [
        "etcdserver: invalid auth token",
        "etcdserver: revision of auth store is old",
        "auth: revision in header is old",
        "etcdserver: user name is empty",
    ] {
        for code in CODES {
            let calls = meddler.calls("Authenticate");
            meddler.answer("Txn", 1, code, text);
            assert_eq!(append(&store).await, Ok(()), "{code} {text}");
            until(text, PATIENCE, || async { meddler.calls("Authenticate") > calls }).await;
        }
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_one_member_move_the_node_to_the_next_whatever_their_code() {
    let etcd = shared_etcd().await.endpoint();
    let members = [Meddler::before(&etcd).await, Meddler::before(&etcd).await];
    let endpoints = members.iter().map(Meddler::endpoint).collect();
    let config = Config { endpoints, ..config(&etcd) };
    let store = node(&config, options(), Arc::new(WallClock));
    ready(&store).await;
    for text in [
        "etcdserver: no leader",
        "etcdserver: not leader",
        "etcdserver: leader changed",
        "etcdserver: server stopped",
        "etcdserver: request timed out",
        "etcdserver: unhealthy cluster",
        "etcdserver: too many requests",
        "etcdserver: rpc not supported for learner",
        "etcdserver: not capable",
    ] {
        for code in [9, 14, 2] {
            // Whichever it is at refuses; the other one takes the event.
            let at = usize::from(is_at(&members, &store).await != 0);
            members[at].answer("Txn", ALWAYS, code, text);
            until(&format!("{code} {text}"), PATIENCE, || async { append(&store).await.is_ok() })
                .await;
            members[at].pass();
        }
    }
    store.close().await;
}

/// At which member a node is.
async fn is_at(members: &[Meddler; 2], store: &EtcdStore) -> usize {
    let calls = members[0].calls("Txn");
    assert_eq!(append(store).await, Ok(()));
    usize::from(members[0].calls("Txn") == calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_token_and_no_member_can_help_with_is_told_and_the_node_stays_where_it_is() {
    let etcd = shared_etcd().await.endpoint();
    let members = [Meddler::before(&etcd).await, Meddler::before(&etcd).await];
    let endpoints = members.iter().map(Meddler::endpoint).collect();
    let config = Config { endpoints, username: "game".to_owned(), ..config(&etcd) };
    let store = node(&config, options(), Arc::new(WallClock));
    ready(&store).await;
    let at = is_at(&members, &store).await;
    let tokens = || members.iter().map(|member| member.calls("Authenticate")).sum::<usize>();
    let before = tokens();
    for text in [
        "etcdserver: permission denied",
        "etcdserver: corrupt cluster",
        "etcdserver: request is too large",
        "etcdserver: too many operations in txn request",
    ] {
        for code in CODES {
            members[at].answer("Txn", ALWAYS, code, text);
            let told = append(&store).await;
            members[at].pass();
            assert!(told.as_ref().is_err_and(|told| told.contains(text)), "{code} {told:?}");
        }
    }
    assert_eq!(is_at(&members, &store).await, at);
    assert_eq!(tokens(), before);
    store.close().await;
}

#[tokio::test]
async fn want_of_space_is_noticed_whatever_its_code() {
    let recorder = Recorder::default();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let meddler = Meddler::before(&shared_etcd().await.endpoint()).await;
    let store = node(&config(&meddler.endpoint()), options(), Arc::new(WallClock));
    ready(&store).await;
    let is =
        |value: f64| (recorder.gauge("game_realtime_store_nospace") - value).abs() < f64::EPSILON;
    for code in [8, 2, 9] {
        meddler.answer("Txn", ALWAYS, code, "etcdserver: mvcc: database space exceeded");
        append(&store).await.expect_err("the quota is exceeded");
        assert!(is(1.0), "{code}");
        meddler.pass();
        until("there is room again", PATIENCE, || async { is(0.0) }).await;
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_gone_is_replaced_whatever_the_code() {
    let etcd = shared_etcd().await.endpoint();
    let meddler = Meddler::before(&etcd).await;
    let config = Config { lease_ttl: Duration::from_secs(3), ..config(&meddler.endpoint()) };
    let store = node(&config, options(), Arc::new(WallClock));
    ready(&store).await;
    let alice = ConnectionBuilder::player("alice").build();
    store.connections().save(&alice).await.expect("registered");
    let raw = Raw::new(&etcd, &config.prefix).await;
    for (method, code) in [("LeaseKeepAlive", 5), ("LeaseKeepAlive", 2), ("LeaseKeepAlive", 9)] {
        let before = raw.leases().await;
        meddler.answer(method, 1, code, "etcdserver: requested lease not found");
        until(&format!("another lease after {code}"), PATIENCE, || async {
            let now = raw.leases().await;
            !now.is_empty() && now.is_disjoint(&before)
        })
        .await;
    }
    store.close().await;
}
