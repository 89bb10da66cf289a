//! Listens to the kick orders of all nodes: reads those there are, then watches for more, and begins
//! again whenever the watch breaks.

use std::{sync::Arc, time::Duration};

use etcd_client::{EventType as Change, GetOptions, KeyValue, WatchOptions, WatchResponse};
use game_realtime_application::ports::StoreError;
use game_realtime_domain::Recipient;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::{
    cluster::Cluster,
    epoch::revision,
    heard_orders::{HeardOrders, Orders},
    jitter::jittered,
    keys::Keys,
    live_watch::LiveWatch,
};

/// Before a broken watch is opened again.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) struct KickListener {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) keys: Keys,
    pub(crate) heard: Arc<HeardOrders>,
}

impl KickListener {
    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        let mut failing = false;
        loop {
            let Err(error) = self.listen(&mut failing).await;
            if !std::mem::replace(&mut failing, true) {
                warn!(%error, cause = %error.source, "kick orders are not heard, trying again");
            }
            sleep(jittered(PAUSE)).await;
        }
    }

    async fn listen(&self, failing: &mut bool) -> Result<std::convert::Infallible, StoreError> {
        let seen = self.read().await?;
        let mut watch = self.watch(seen + 1).await?;
        if std::mem::take(failing) {
            info!("kick orders are heard again");
        }
        loop {
            self.take(&watch.next().await?);
        }
    }

    /// Takes all orders there are. Returns as of when.
    async fn read(&self) -> Result<u64, StoreError> {
        let (from, options) = (self.keys.kicks(), GetOptions::new().with_prefix());
        let response =
            self.cluster.kv(|mut kv| async move { kv.get(from, Some(options)).await }).await?;
        let orders = response.kvs().iter().filter_map(|pair| self.order(pair));
        self.heard.replace(&orders.collect());
        Ok(revision(response.header()))
    }

    async fn watch(&self, from: u64) -> Result<LiveWatch, StoreError> {
        let options = WatchOptions::new()
            .with_prefix()
            .with_start_revision(i64::try_from(from).unwrap_or(i64::MAX))
            .with_fragment();
        let key = self.keys.kicks();
        let watch = self
            .cluster
            .watch(|mut watches| async move { watches.watch(key, Some(options)).await })
            .await?;
        Ok(LiveWatch::new(Arc::clone(&self.cluster), watch))
    }

    fn take(&self, message: &WatchResponse) {
        let mut orders = Orders::new();
        for event in message.events() {
            let Some((target, revision)) = event.kv().and_then(|pair| self.order(pair)) else {
                continue;
            };
            match event.event_type() {
                Change::Put => {
                    orders.insert(target, revision);
                }
                Change::Delete => self.heard.forget(&target, revision),
            }
        }
        self.heard.hear(&orders);
    }

    /// Whom an order concerns, and when its key was last changed.
    fn order(&self, pair: &KeyValue) -> Option<(Recipient, u64)> {
        let target = pair.key_str().ok().and_then(|key| self.keys.parse_kick(key));
        if target.is_none() {
            error!("kick order with an unreadable key skipped");
        }
        Some((target?, u64::try_from(pair.mod_revision()).unwrap_or_default()))
    }
}
