//! The `http` and `limits` sections of the configuration.

use std::{net::IpAddr, time::Duration};

use bytesize::ByteSize;
use game_realtime_application::limits::{Caps, ConnectionLimits, EventRates, Rate};
use game_realtime_domain::CommandLimits;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};

/// Where clients connect.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 lets the system choose.
    pub port: u16,
    /// What the paths of the game namespaces begin with.
    pub base_path: String,
    /// Origins that browsers may connect from, besides the server's own; `*` is any.
    pub allowed_origins: Vec<String>,
    /// Networks of the proxies in front of the node whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
}

/// Bounds on what clients can make the node do or hold.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Largest message or request body, in bytes.
    #[serde(deserialize_with = "bytes")]
    pub payload_bytes: usize,
    /// Longest `message` of a broadcast, in characters.
    pub message_length: usize,
    /// Longest `text` of a message, in characters.
    pub text_length: usize,
    /// Longest `good_id` of a purchase, in characters.
    pub good_id_length: usize,
    /// Events of one connection waiting for their commit; beyond it the node stops reading from
    /// the connection, and answers `rate_limited` to what comes far beyond it.
    pub inbox_events: usize,
    /// Bytes of the events of all connections that wait for their commit, each with
    /// 1 KiB for what is made of it; beyond it new ones are answered `rate_limited`. 0 is no limit.
    #[serde(deserialize_with = "bytes")]
    pub in_flight_bytes: usize,
    /// Bytes waiting to be written to one connection; beyond it the connection falls behind.
    #[serde(deserialize_with = "bytes")]
    pub send_buffer_bytes: usize,
    /// How long a connection may take none of what waits for it before it is closed.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// How long a client may take to send its request head.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a connection without a request may stay open for the next one.
    #[serde(with = "humantime_serde")]
    pub keep_alive_timeout: Duration,
    /// How long a client may take to send a request body.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// How long a client may stay without joining a namespace.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long a polling client may take to move to a WebSocket; it goes on polling otherwise.
    #[serde(with = "humantime_serde")]
    pub upgrade_timeout: Duration,
    /// How often a client is asked for a sign of life.
    #[serde(with = "humantime_serde")]
    pub ping_interval: Duration,
    /// How long it may take to give one.
    #[serde(with = "humantime_serde")]
    pub ping_timeout: Duration,
    /// How often clients may do what costs the node something.
    pub rates: RatesConfig,
    /// How many events over these rates are abuse, after which the client is sent away; 0: it
    /// never is...
    pub abuse_refusals: u32,
    /// ...within so much time.
    #[serde(with = "humantime_serde")]
    pub abuse_window: Duration,
    /// Connections of one user to this node; 0 is no limit.
    pub connections_per_user: usize,
    /// Connections from one address to this node; 0 is no limit.
    pub connections_per_ip: usize,
    /// Connections to this node; 0 is no limit.
    pub connections_per_node: usize,
    /// TCP connections to this node, whether anything is connected over them or not; 0 is no limit.
    pub tcp_connections: usize,
}

/// The `limits.rates` section: each on this node.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatesConfig {
    /// Events of one connection, of whatever kind.
    pub connection: Rate,
    /// Broadcasts of one user, or of one guest connection.
    pub broadcast: Rate,
    /// Messages of one user, or of one guest connection.
    pub send_message: Rate,
    /// Purchases of one user.
    pub buy_good: Rate,
    /// Handshakes from one address.
    pub handshakes: Rate,
}

impl LimitsConfig {
    /// The limits on the fields of commands.
    #[must_use]
    pub fn commands(&self) -> CommandLimits {
        CommandLimits {
            message_length: self.message_length,
            text_length: self.text_length,
            good_id_length: self.good_id_length,
        }
    }

    /// How often one sender may send each event.
    #[must_use]
    pub fn events(&self) -> EventRates {
        let RatesConfig { broadcast, send_message, buy_good, .. } = self.rates;
        EventRates { broadcast, send_message, buy_good }
    }

    /// How many connections there may be.
    #[must_use]
    pub fn caps(&self) -> Caps {
        Caps {
            per_user: self.connections_per_user,
            per_address: self.connections_per_ip,
            per_node: self.connections_per_node,
        }
    }

    /// What one connection may do.
    #[must_use]
    pub fn connection(&self) -> ConnectionLimits {
        ConnectionLimits {
            rate: self.rates.connection,
            abuse_refusals: self.abuse_refusals,
            abuse_window: self.abuse_window,
        }
    }
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    usize::try_from(size.as_u64()).map_err(|_| de::Error::custom("is too large"))
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let parse = |network: &String| {
        let invalid = |_| format!("{network:?} is not a CIDR such as \"10.0.0.0/8\"");
        network.parse().map_err(invalid).map_err(de::Error::custom)
    };
    Vec::<String>::deserialize(deserializer)?.iter().map(parse).collect()
}
