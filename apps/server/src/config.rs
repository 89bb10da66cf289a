//! The configuration: what can be set, read from its three places and checked as a whole.
//!
//! Each adapter says what its section holds; this module adds the sections of the server itself.
//! A new key needs a field here or there and a line in `config/default.toml`, or, if it has no
//! default, in `config/keys.rs`.

mod environment;
mod fault;
mod file;
#[cfg(test)]
mod fuzz;
mod keys;
mod load;
mod settings;
mod size;
mod toml;
mod validate;

use std::time::Duration;

use bytesize::ByteSize;
use game_realtime_application::{ClassRetention, RetentionPolicy, use_cases::Allowed};
use game_realtime_domain::EventType;
use game_realtime_socketio_adapter::{HttpConfig, LimitsConfig};
use serde::{Deserialize, Deserializer, de};

pub(crate) use fault::Fault;
pub(crate) use file::ConfigFile;
pub(crate) use load::{Loaded, load};
pub(crate) use settings::Settings;

/// Everything that can be configured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) http: HttpConfig,
    pub(crate) limits: LimitsConfig,
    pub(crate) admin: game_realtime_admin_adapter::Config,
    pub(crate) store: StoreConfig,
    pub(crate) embedded: game_realtime_embedded_adapter::Config,
    pub(crate) etcd: game_realtime_etcd_adapter::Config,
    pub(crate) auth: game_realtime_identity_adapter::Config,
    pub(crate) namespaces: NamespacesConfig,
    pub(crate) events: EventsConfig,
    pub(crate) shutdown: ShutdownConfig,
    pub(crate) log: LogConfig,
    pub(crate) telemetry: TelemetryConfig,
}

/// The `store` section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreConfig {
    pub(crate) backend: Backend,
}

/// Which store holds the events and the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Backend {
    /// One node, one file.
    Embedded,
    /// Any number of nodes.
    Etcd,
}

/// The `namespaces` section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamespacesConfig {
    pub(crate) private: NamespaceConfig,
    pub(crate) guest: NamespaceConfig,
}

impl NamespacesConfig {
    /// The same, as the use cases take it.
    pub(crate) fn allowed(&self) -> Allowed {
        Allowed { private: self.private.allow.clone(), guest: self.guest.allow.clone() }
    }
}

/// One game namespace.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamespaceConfig {
    /// What its connections may send.
    #[serde(deserialize_with = "event_types")]
    pub(crate) allow: Vec<EventType>,
}

/// The `events` section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsConfig {
    /// How far back a returning client can go...
    #[serde(with = "humantime_serde")]
    pub(crate) replay_window: Duration,
    /// ...and by how many events at least...
    pub(crate) replay_events: usize,
    /// ...as far as they fit in this much memory.
    #[serde(deserialize_with = "bytes")]
    pub(crate) replay_bytes: usize,
    /// How long the store keeps events.
    #[serde(with = "humantime_serde")]
    pub(crate) retention: Duration,
    /// How long a `request_id` is remembered.
    #[serde(with = "humantime_serde")]
    pub(crate) idempotency_window: Duration,
    pub(crate) purchases: PurchasesConfig,
}

impl EventsConfig {
    /// The same, as stores take it.
    pub(crate) fn retention_policy(&self) -> RetentionPolicy {
        RetentionPolicy {
            replay_window: self.replay_window,
            replay_events: self.replay_events,
            state: ClassRetention { events: self.retention, receipts: self.idempotency_window },
            purchases: ClassRetention {
                events: self.purchases.retention,
                receipts: self.purchases.idempotency_window,
            },
        }
    }
}

/// The `events.purchases` section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PurchasesConfig {
    /// How long the store keeps purchases.
    #[serde(with = "humantime_serde")]
    pub(crate) retention: Duration,
    /// How long the `request_id` of a purchase is remembered.
    #[serde(with = "humantime_serde")]
    pub(crate) idempotency_window: Duration,
}

/// The `shutdown` section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShutdownConfig {
    /// How long a drain may take.
    #[serde(with = "humantime_serde")]
    pub(crate) grace: Duration,
}

/// The `log` section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogConfig {
    /// A level or a filter.
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One JSON object.
    Json,
    /// For people.
    Pretty,
}

/// The `telemetry` section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TelemetryConfig {
    pub(crate) traces: game_realtime_otlp_adapter::Config,
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    usize::try_from(size.as_u64()).map_err(|_| de::Error::custom("is too large"))
}

fn event_types<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<EventType>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let parse = |name: &String| {
        name.parse().map_err(|_| {
            let known = EventType::ALL.map(EventType::as_str).join(", ");
            de::Error::custom(format!("unknown event {name:?}, known are {known}"))
        })
    };
    names.iter().map(parse).collect()
}
