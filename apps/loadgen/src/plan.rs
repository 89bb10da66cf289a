//! What a run does.

use std::{net::SocketAddr, time::Duration};

use crate::{
    credentials::Credential,
    dialect::Dialect,
    pace::{Pace, Until},
    process::Watched,
};

/// What is done with the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// Open all connections, as fast as the server takes them or at --connect-rate
    Connect,
    /// Hold them and answer pings: shows what a connection costs in memory
    Idle,
    /// Events to everybody
    Broadcast,
    /// Messages to one user each, who is on another node if there is one
    Direct,
    /// Events to the sender alone
    Purchase,
    /// A game: broadcasts, messages and purchases as --mix says
    Mixed,
    /// All but the senders are cut off, miss --missed broadcasts, and come back at once with their
    /// cursors while the senders go on
    Reconnect,
}

impl Scenario {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Idle => "idle",
            Self::Broadcast => "broadcast",
            Self::Direct => "direct",
            Self::Purchase => "purchase",
            Self::Mixed => "mixed",
            Self::Reconnect => "reconnect",
        }
    }

    /// Whether its connections send anything.
    #[must_use]
    pub fn sends(self) -> bool {
        match self {
            Self::Connect | Self::Idle => false,
            Self::Broadcast | Self::Direct | Self::Purchase | Self::Mixed | Self::Reconnect => true,
        }
    }
}

/// Of how many events each kind is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// To everybody.
    pub broadcast: u32,
    /// To one user.
    pub direct: u32,
    /// To the sender.
    pub purchase: u32,
}

/// Everything about a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is done.
    pub scenario: Scenario,
    /// Where.
    pub nodes: Vec<SocketAddr>,
    /// How.
    pub dialect: Dialect,
    /// By whom: the users take turns.
    pub credentials: Vec<Credential>,
    /// So many connections.
    pub connections: u32,
    /// The first so many of them send.
    pub senders: u32,
    /// Kinds of events.
    pub mix: Mix,
    /// When events are sent.
    pub pace: Pace,
    /// Until when an event counts as on its way.
    pub until: Until,
    /// For how long, at most.
    pub duration: Duration,
    /// How many, at most.
    pub events: u64,
    /// How long events are sent before anything is measured.
    pub warm_up: Duration,
    /// Characters of a message.
    pub message_length: usize,
    /// Events that are missed by who reconnects.
    pub missed: u32,
    /// Connections begun a second; 0: no limit.
    pub connect_rate: f64,
    /// Connections that are being opened at any time.
    pub connect_window: u32,
    /// How long a connection may take to be ready.
    pub connect_timeout: Duration,
    /// How long answers and deliveries may take in the end.
    pub grace: Duration,
    /// How long it is watched for deliveries that are too many.
    pub aftermath: Duration,
    /// What decides who is sent a message.
    pub seed: u64,
    /// Processes that are measured.
    pub watched: Vec<Watched>,
    /// Whether progress is told.
    pub is_quiet: bool,
}
