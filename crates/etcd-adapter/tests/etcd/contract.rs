//! The contract suites.

use game_realtime_contract::Stores;

use crate::support::{shared_etcd, store};

async fn stores() -> Stores {
    let store = store(&shared_etcd().await.endpoint());
    Stores {
        events: store.events(),
        feed: store.feed(),
        connections: store.connections(),
        health: store.health(),
        kicks: store.kicks(),
        guard: Box::new(store),
    }
}

game_realtime_contract::contract!(stores().await);
