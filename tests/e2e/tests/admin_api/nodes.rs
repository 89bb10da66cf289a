//! Nodes with an API.

use futures_util::future::join_all;
use game_realtime_e2e::{AdminApi, ConnectOptions, Etcd, Server, Settings, Store, mint};

/// What came through no connection.
pub(crate) const NO_CONNECTION: &str = "00000000-0000-0000-0000-000000000000";

pub(crate) struct ApiNode {
    pub(crate) server: Server,
    pub(crate) api: AdminApi,
}

impl ApiNode {
    pub(crate) async fn start(settings: Settings) -> Self {
        let settings = settings.with_api();
        Self { server: Server::start(&settings).await, api: AdminApi::of(&settings) }
    }

    /// On the embedded store, in memory.
    pub(crate) async fn alone() -> Self {
        Self::start(Settings::new(&Store::Memory)).await
    }

    pub(crate) fn player(&self, name: &str) -> ConnectOptions {
        ConnectOptions::player(&self.server.url(), &mint(name))
    }

    pub(crate) fn guest(&self) -> ConnectOptions {
        ConnectOptions::guest(&self.server.url())
    }
}

/// Some nodes on one etcd.
pub(crate) async fn cluster(etcd: &Etcd, prefix: &str, nodes: usize) -> Vec<ApiNode> {
    let store = Store::Etcd { endpoint: etcd.endpoint(), prefix: prefix.to_owned() };
    join_all((0..nodes).map(|_| ApiNode::start(Settings::new(&store)))).await
}
