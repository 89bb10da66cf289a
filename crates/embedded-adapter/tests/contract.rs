//! The contracts of the ports, in memory and on a file.
#![expect(clippy::expect_used, reason = "a store that cannot be had is a failed test")]

use bytesize::ByteSize;
use game_realtime_application::RetentionPolicy;
use std::{any::Any, sync::Arc, time::Duration};

use game_realtime_application::panics::Watchdog;
use game_realtime_contract::{Stores, WallClock, keeping};
use game_realtime_embedded_adapter::{Config, EmbeddedStore};

const OPTIONS: RetentionPolicy =
    keeping(Duration::from_secs(24 * 3600), 10_000, Duration::from_secs(24 * 3600));

fn stores(path: &str, directory: impl Any + Send) -> Stores {
    let config = Config {
        path: path.to_owned(),
        space_budget: ByteSize::gib(1),
        request_timeout: Duration::from_secs(30),
    };
    let store = EmbeddedStore::open(&config, OPTIONS, Arc::new(WallClock), &Watchdog::new())
        .expect("a store");
    Stores {
        events: Arc::new(store.event_repository()),
        feed: Arc::new(store.event_feed()),
        connections: Arc::new(store.connection_repository()),
        health: Arc::new(store.store_health()),
        kicks: Arc::new(store.kick_orders()),
        guard: Box::new((store, directory)),
    }
}

mod memory {
    use super::*;

    game_realtime_contract::contract!(stores(":memory:", ()));
}

mod file {
    use super::*;

    fn file_stores() -> Stores {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("store.redb");
        stores(path.to_str().expect("a path in UTF-8"), directory)
    }

    game_realtime_contract::contract!(file_stores());
}
