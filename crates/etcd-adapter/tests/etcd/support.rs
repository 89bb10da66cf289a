//! A real etcd and stores on it, for the tests of this crate.

use std::{sync::Arc, time::Duration};

use game_realtime_contract::{WallClock, unique_id};
use game_realtime_domain::NodeId;
use game_realtime_e2e::Etcd;
use game_realtime_etcd_adapter::{Config, EtcdStore, Options, TlsConfig};
use tokio::sync::OnceCell;

/// One etcd for all tests of a file: each test has a prefix of its own.
pub(crate) async fn shared_etcd() -> &'static Etcd {
    static ETCD: OnceCell<Etcd> = OnceCell::const_new();
    ETCD.get_or_init(Etcd::start).await
}

/// The configuration of a store that nobody else uses.
pub(crate) fn config(endpoint: &str) -> Config {
    Config {
        endpoints: vec![endpoint.to_owned()],
        dial_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(3),
        username: String::new(),
        password: String::new().into(),
        prefix: format!("/test/{}", unique_id()),
        lease_ttl: Duration::from_secs(10),
        isolation_grace: Duration::from_secs(60),
        tls: TlsConfig::default(),
    }
}

/// A fresh, empty store.
pub(crate) fn store(endpoint: &str) -> EtcdStore {
    let options = Options {
        node_id: NodeId(unique_id()),
        idempotency_window: Duration::from_secs(24 * 3600),
    };
    EtcdStore::start(&config(endpoint), options, Arc::new(WallClock)).expect("no files to read")
}
