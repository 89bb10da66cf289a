//! The `etcd` section of the configuration.

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use secrecy::SecretString;

/// How to reach etcd and how long to wait for it.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// URLs of the members.
    pub endpoints: Vec<String>,
    /// How long opening a connection to a member may take.
    #[serde(with = "humantime_serde")]
    pub dial_timeout: Duration,
    /// How long a request may take, its time in our queue included.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// The etcd user; empty for none.
    pub username: String,
    /// Their password.
    pub password: SecretString,
    /// What every key begins with.
    pub prefix: String,
    /// How long etcd keeps the registrations of a node that it no longer hears.
    #[serde(with = "humantime_serde")]
    pub lease_ttl: Duration,
    /// How long a node that is cut off from etcd keeps its clients.
    #[serde(with = "humantime_serde")]
    pub isolation_grace: Duration,
    /// What etcd may hold; more than that, and the oldest events go before their retention is over.
    /// 0: no budget.
    pub space_budget: ByteSize,
    /// How often the history is compacted, by one of the nodes; 0: that is left to etcd.
    #[serde(with = "humantime_serde")]
    pub compaction_interval: Duration,
    /// Certificates, for `https` endpoints.
    pub tls: TlsConfig,
}

/// Files in PEM format, for `https` endpoints.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The authorities that sign the members' certificates. Unset: those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The node's own certificate, if etcd asks for one.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// The key to it.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
}
