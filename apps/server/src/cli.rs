//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use game_realtime_domain::UserId;

/// A Socket.IO gateway for games.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Cli {
    /// Configuration file, TOML [default: the file named by GAME_REALTIME_CONFIG, if any]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve players (the default)
    Serve,
    /// Check the configuration and exit
    CheckConfig,
    /// Print the effective configuration and where each value comes from
    PrintConfig,
    /// Print a token for development, signed with the configured secret
    Token(Token),
    /// Ask the admin port of a running node whether it is alive
    Healthcheck,
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The player the token is for
    #[arg(long, value_name = "ID", value_parser = |id: &str| UserId::parse(id))]
    pub(crate) user: UserId,

    /// How long it is valid
    #[arg(long, default_value = "1h", value_parser = humantime_serde::re::humantime::parse_duration)]
    pub(crate) ttl: Duration,
}
