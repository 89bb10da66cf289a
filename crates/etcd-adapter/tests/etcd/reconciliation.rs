//! Whatever happens to the registry behind the node's back, it is put right.

use std::{sync::Arc, time::Duration};

use etcd_client::{DeleteOptions, PutOptions};
use game_realtime_contract::{ConnectionBuilder, WallClock, unique_id, user_id};

use crate::support::{Raw, Recorder, config, node, options, shared_etcd, until};

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn what_is_missing_is_restored_and_what_is_stale_removed() {
    let recorder = Recorder::default();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let etcd = shared_etcd().await;
    let config = config(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let store = node(&config, options(), Arc::new(WallClock));
    let other = node(&config, options(), Arc::new(WallClock));
    let alice = ConnectionBuilder::player("alice").build();
    let bob = ConnectionBuilder::player("bob").build();
    let carol = ConnectionBuilder::player("carol").build();
    for connection in [&alice, &bob] {
        store.connections().save(connection).await.expect("registered");
    }
    other.connections().save(&carol).await.expect("registered");
    let key = |connection: &game_realtime_domain::Connection| {
        format!("{}/connections/private/{}", config.prefix, connection.id)
    };
    let alice_as_user = format!("{}/users/alice/{}", config.prefix, alice.id);
    let lease = {
        let pair = raw.client.kv_client().get(key(&alice), None).await.expect("etcd answers");
        pair.kvs()[0].lease()
    };

    // A whole registration is missing, and of another the copy below the player.
    let mut kv = raw.client.kv_client();
    kv.delete(key(&bob), None::<DeleteOptions>).await.expect("deleted");
    kv.delete(alice_as_user.clone(), None::<DeleteOptions>).await.expect("deleted");
    // Some are there that are nobody's.
    let stale = [
        format!("{}/connections/private/{}", config.prefix, unique_id()),
        format!("{}/connections/guest/{}", config.prefix, unique_id()),
        // Alice's, but she never was this user.
        format!("{}/users/mallory/{}", config.prefix, alice.id),
    ];
    for stale in &stale {
        let options = PutOptions::new().with_lease(lease);
        kv.put(stale.clone(), "{}", Some(options)).await.expect("put");
    }
    // Somebody else's key on the same lease is none of our business.
    let foreign = format!("{}/foreign", config.prefix);
    kv.put(foreign.clone(), "", Some(PutOptions::new().with_lease(lease))).await.expect("put");

    let took = until("the registry is right", PATIENCE, || async {
        let mut right = raw.has(&key(&bob)).await && raw.has(&alice_as_user).await;
        for stale in &stale {
            right &= !raw.has(stale).await;
        }
        right
    })
    .await;
    println!("registry put right after {took:?}");
    assert!(raw.has(&foreign).await);
    // Of another node, on its own lease.
    assert!(raw.has(&key(&carol)).await);
    assert_eq!(raw.count("connections").await, 3);
    until("repairs are counted", PATIENCE, || async {
        recorder.counter("game_realtime_registry_repairs_total missing") == 2
            && recorder.counter("game_realtime_registry_repairs_total stale") == 3
    })
    .await;
}

#[tokio::test]
async fn a_slow_old_node_never_removes_the_record_of_a_newer_connection() {
    let etcd = shared_etcd().await;
    let config = config(&etcd.endpoint());
    let raw = Raw::new(&etcd.endpoint(), &config.prefix).await;
    let (old, new) = (
        node(&config, options(), Arc::new(WallClock)),
        node(&config, options(), Arc::new(WallClock)),
    );
    // Alice comes back on another node before hers has noticed that she is gone.
    let (before, after) =
        (ConnectionBuilder::player("alice").build(), ConnectionBuilder::player("alice").build());
    old.connections().save(&before).await.expect("registered");
    let old_leases = raw.leases().await;
    new.connections().save(&after).await.expect("registered");
    // A record that was the old node's, written anew by somebody else.
    let taken_over = format!("{}/connections/private/{}", config.prefix, unique_id());
    // A stale key shows when the old node has looked at its lease.
    let stale = format!("{}/connections/private/{}", config.prefix, unique_id());
    let mut kv = raw.client.kv_client();
    for key in [&taken_over, &stale] {
        for lease in &old_leases {
            let options = PutOptions::new().with_lease(*lease);
            kv.put(key.clone(), "{}", Some(options)).await.expect("put");
        }
    }
    kv.put(taken_over.clone(), "{}", None).await.expect("put");
    old.connections().delete(&before).await.expect("unregistered");
    until("the old node has looked", PATIENCE, || async { !raw.has(&stale).await }).await;
    assert!(raw.has(&taken_over).await);
    let found = new.connections().list_by_user(&user_id("alice"), None, 10).await;
    assert_eq!(found.expect("the registry is listed"), [after]);
}
