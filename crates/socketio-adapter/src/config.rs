//! The `http` and `limits` sections of the configuration.

use std::{net::IpAddr, time::Duration};

use game_realtime_domain::CommandLimits;

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
}

/// Bounds on what clients can make the node do or hold.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Largest message or request body, in bytes.
    pub payload_bytes: usize,
    /// Longest `message` of a broadcast, in characters.
    pub message_length: usize,
    /// Longest `text` of a message, in characters.
    pub text_length: usize,
    /// Longest `good_id` of a purchase, in characters.
    pub good_id_length: usize,
    /// Events of one connection waiting for their commit; beyond it the node stops reading from
    /// the connection, and from twice as many on answers `rate_limited`.
    pub inbox_events: usize,
    /// Bytes waiting to be written to one connection; beyond it the connection falls behind.
    pub send_buffer_bytes: usize,
    /// How long a connection may take none of what waits for it before it is closed.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// How long a client may take to send its request head.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a client may take to send a request body.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// How long a client may stay without joining a namespace.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How often a client is asked for a sign of life.
    #[serde(with = "humantime_serde")]
    pub ping_interval: Duration,
    /// How long it may take to give one.
    #[serde(with = "humantime_serde")]
    pub ping_timeout: Duration,
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
}
