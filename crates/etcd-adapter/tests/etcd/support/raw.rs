//! What etcd really holds, seen past the adapter.

use std::collections::BTreeSet;

use etcd_client::{
    AlarmAction, AlarmOptions, AlarmType, Client, CompactionOptions, GetOptions, KeyValue,
};

/// A client of its own, for the keys below a prefix.
pub(crate) struct Raw {
    pub(crate) client: Client,
    pub(crate) prefix: String,
}

impl Raw {
    pub(crate) async fn new(endpoint: &str, prefix: &str) -> Self {
        let client = Client::connect([endpoint], None).await.expect("etcd answers");
        Self { client, prefix: prefix.to_owned() }
    }

    /// Everything below a directory of the prefix.
    pub(crate) async fn pairs(&self, directory: &str) -> Vec<KeyValue> {
        let key = format!("{}/{directory}/", self.prefix);
        let options = GetOptions::new().with_prefix();
        let mut kv = self.client.kv_client().max_decoding_message_size(64 << 20);
        kv.get(key, Some(options)).await.expect("etcd answers").take_kvs()
    }

    pub(crate) async fn count(&self, directory: &str) -> usize {
        let key = format!("{}/{directory}/", self.prefix);
        let options = GetOptions::new().with_prefix().with_count_only();
        let response = self.client.kv_client().get(key, Some(options)).await.expect("etcd answers");
        usize::try_from(response.count()).expect("a count")
    }

    /// How many events are stored.
    pub(crate) async fn events(&self) -> usize {
        self.count("log").await - self.count("log/segments").await
    }

    /// Forgets all history before the present.
    pub(crate) async fn compact(&self) {
        let revision = {
            let response = self.client.kv_client().get("any", None).await.expect("etcd answers");
            response.header().expect("a header").revision()
        };
        let options = CompactionOptions::new().with_physical();
        self.client.kv_client().compact(revision, Some(options)).await.expect("etcd compacts");
    }

    /// What etcd's file and what is in use of it, in bytes.
    pub(crate) async fn sizes(&self) -> (i64, i64) {
        let status = self.client.maintenance_client().status().await.expect("etcd answers");
        (status.db_size(), status.raft_used_db_size())
    }

    pub(crate) async fn has(&self, key: &str) -> bool {
        let response = self.client.kv_client().get(key, None).await.expect("etcd answers");
        !response.kvs().is_empty()
    }

    /// The leases on which the connections hang.
    pub(crate) async fn leases(&self) -> BTreeSet<i64> {
        self.pairs("connections").await.iter().map(KeyValue::lease).collect()
    }

    pub(crate) async fn revoke(&self, lease: i64) {
        self.client.lease_client().revoke(lease).await.expect("the lease is revoked");
    }

    pub(crate) async fn has_alarm(&self) -> bool {
        let response = self
            .client
            .maintenance_client()
            .alarm(AlarmAction::Get, AlarmType::Nospace, None)
            .await
            .expect("etcd answers");
        !response.alarms().is_empty()
    }

    /// What an operator does once keys are deleted.
    pub(crate) async fn make_room(&self) {
        self.compact().await;
        let mut maintenance = self.client.maintenance_client();
        maintenance.defragment().await.expect("etcd defragments");
        let response = maintenance
            .alarm(AlarmAction::Get, AlarmType::Nospace, None)
            .await
            .expect("etcd answers");
        for alarm in response.alarms() {
            let mut options = AlarmOptions::new();
            options.with_member(alarm.member_id());
            maintenance
                .alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(options))
                .await
                .expect("the alarm is disarmed");
        }
    }
}
