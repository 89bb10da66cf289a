//! The command line.

use std::{net::ToSocketAddrs as _, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail, ensure};
use clap::{Parser, ValueEnum};

use crate::{
    clock::micros,
    credentials::{self, Credential, Minting},
    dialect::{Dialect, Order, Template},
    pace::{Pace, Until},
    plan::{Mix, Plan, Scenario},
    process::Watched,
};

const BASE_PATH: &str = "/core/game/v1/real-time";

/// Puts load on a Socket.IO server, and accounts for every event.
///
/// Latencies are measured from when an event should have been sent. The exit code is 1 when anything
/// was lost, doubled, out of order, refused or cut off.
#[derive(Debug, Parser)]
#[command(version, term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What is done with the connections
    pub scenario: Scenario,

    /// A node, http://HOST:PORT; connections are spread over all that are given
    #[arg(long = "node", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    nodes: Vec<String>,

    /// How many connections
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    connections: u32,

    /// Users, each with a share of the connections [default: one for each connection]
    #[arg(long, value_name = "N")]
    users: Option<u32>,

    /// What the names of users begin with; a number follows
    #[arg(long, value_name = "TEXT", default_value = "player-")]
    user_prefix: String,

    /// So many of the connections send [default: all; 1 for `broadcast` and `reconnect`]
    #[arg(long, value_name = "N")]
    senders: Option<u32>,

    #[command(flatten)]
    sending: Sending,

    #[command(flatten)]
    connecting: Connecting,

    #[command(flatten)]
    speaking: Speaking,

    /// Measure processes of this machine, e.g. gateway=PID,PID; several times for several labels
    #[arg(long = "server-pid", value_name = "[LABEL=]PID,...", help_heading = "Result")]
    watched: Vec<Watched>,

    /// Write the result as JSON; to the standard output with -
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub json: Option<PathBuf>,

    /// Do not tell progress
    #[arg(long, help_heading = "Result")]
    quiet: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sending")]
struct Sending {
    /// Events a second from all senders together, sent when they are due whatever comes back
    /// [default: 10]
    #[arg(long, value_name = "R", conflicts_with_all = ["in_flight", "burst"])]
    rate: Option<f64>,

    /// Flat out: each sender has so many events on their way at any time
    #[arg(long, value_name = "N", conflicts_with = "burst")]
    in_flight: Option<u32>,

    /// Until when an event is on its way, with --in-flight
    #[arg(long, value_enum, default_value_t = Until::Answered)]
    until: Until,

    /// So many events at once, and the next when all have arrived everywhere
    #[arg(long, value_name = "N")]
    burst: Option<u32>,

    /// Between two bursts
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pause: Duration,

    /// How long events are sent; how long `idle` holds its connections
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    duration: Duration,

    /// End after so many events, if that is sooner
    #[arg(long, value_name = "N")]
    events: Option<u64>,

    /// Send for so long before measuring
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    warm_up: Duration,

    /// Length of messages
    #[arg(long, value_name = "CHARACTERS", default_value_t = 80)]
    message_length: usize,

    /// Shares of the kinds of events of `mixed`
    #[arg(long, value_name = "BROADCAST:DIRECT:PURCHASE", default_value = "1:8:1", value_parser = mix)]
    mix: Mix,

    /// Broadcasts that are missed in `reconnect`
    #[arg(long, value_name = "N", default_value_t = 100)]
    missed: u32,

    /// How long answers and deliveries may take in the end
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    grace: Duration,

    /// How long to watch for deliveries that are too many
    #[arg(long, value_name = "TIME", default_value = "250ms", value_parser = duration)]
    aftermath: Duration,

    /// Decides who is sent a message
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connecting")]
struct Connecting {
    /// Connections a second; 0: as fast as the server takes them
    #[arg(long, value_name = "R", default_value_t = 0.0)]
    connect_rate: f64,

    /// Connections that are being opened at any time
    #[arg(long, value_name = "N", default_value_t = 256)]
    connect_window: u32,

    /// How long a connection may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    connect_timeout: Duration,

    /// Mint tokens (HS256) with this secret, for player-0, player-1, ...
    #[arg(long, env = "LOADGEN_SECRET", hide_env_values = true, conflicts_with = "token_file")]
    secret: Option<String>,

    /// The issuer in those tokens
    #[arg(long, value_name = "TEXT", requires = "secret")]
    issuer: Option<String>,

    /// The audience in those tokens
    #[arg(long, value_name = "TEXT", requires = "secret")]
    audience: Option<String>,

    /// Users and tokens, one of each in a line
    #[arg(long, value_name = "FILE", conflicts_with = "users")]
    token_file: Option<PathBuf>,
}

/// How the server is to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// io(origin, { path }): the game namespace is the path of Engine.IO
    Path,
    /// io(origin + namespace): the game namespace is the namespace of Socket.IO
    Namespace,
    /// Any other Socket.IO server: io(origin); the answer to the connect packet is all it says, and
    /// every answer to an event means that it was taken
    Plain,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Speaking")]
struct Speaking {
    /// How the server is to be spoken to; what follows changes parts of it
    #[arg(long, value_enum, default_value_t = Form::Path)]
    form: Form,

    /// Connect as guests, without tokens
    #[arg(long, conflicts_with_all = ["secret", "token_file"])]
    guest: bool,

    /// Path of Engine.IO
    #[arg(long)]
    path: Option<String>,

    /// Namespace of Socket.IO
    #[arg(long)]
    namespace: Option<String>,

    /// JSON sent when connecting, with {token} and {user}; empty: none
    /// [default: {"token":"{token}"} if there are tokens, {"user":"{user}"} in form `plain`]
    #[arg(long, value_name = "JSON")]
    auth: Option<String>,

    /// The event after which a connection counts as ready; empty: none
    /// [default: core.game.connection.ready; none in form `plain`]
    #[arg(long, value_name = "EVENT")]
    ready_event: Option<String>,

    /// What an answer contains if the event was taken; empty: whatever it says
    /// [default: "status":"ok"; empty in form `plain`]
    #[arg(long, value_name = "TEXT")]
    accepted: Option<String>,

    /// What is promised of the order of deliveries [default: total; sender in form `plain`]
    #[arg(long, value_enum)]
    order: Option<Order>,

    /// Event to everybody
    #[arg(long, value_name = "EVENT", default_value = "core.game.state.broadcast")]
    broadcast_event: String,

    /// Its payload: {stamp} marks it, {padding} fills it up, {user} sends it
    #[arg(long, value_name = "JSON", default_value = r#"{"message":"{stamp}{padding}"}"#)]
    broadcast_payload: String,

    /// Event to one user and the sender
    #[arg(long, value_name = "EVENT", default_value = "core.game.state.send_message")]
    direct_event: String,

    /// Its payload, to {target}
    #[arg(
        long,
        value_name = "JSON",
        default_value = r#"{"target_user_id":"{target}","text":"{stamp}{padding}"}"#
    )]
    direct_payload: String,

    /// Event to the sender alone
    #[arg(long, value_name = "EVENT", default_value = "core.game.state.buy_good")]
    purchase_event: String,

    /// Its payload
    #[arg(long, value_name = "JSON", default_value = r#"{"good_id":"{stamp}","count":1}"#)]
    purchase_payload: String,
}

const EXAMPLES: &str = "\
Examples, against `just run`:
  How fast can 5000 players connect?
    game-realtime-loadgen connect -n 5000 --secret game-realtime-development-secret
  What does everybody get, and when, at 20 broadcasts a second?
    game-realtime-loadgen broadcast -n 1000 --rate 20 --duration 30s --guest
  A game session on two nodes, with what the nodes cost:
    game-realtime-loadgen mixed -n 500 --rate 1000 --secret SECRET \\
      --node http://127.0.0.1:8081 --node http://127.0.0.1:8082 --server-pid gateway=PID,PID
  Any other Socket.IO server, which answers `say` and sends it to everybody:
    game-realtime-loadgen broadcast --form plain --broadcast-event say \\
      --broadcast-payload '{\"text\":\"{stamp}{padding}\"}'";

impl Cli {
    /// What this asks for.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn plan(&self) -> anyhow::Result<Plan> {
        let Self { scenario, connections, sending, connecting, speaking, .. } = self;
        ensure!(*connections > 0, "no connections");
        let credentials = self.credentials()?;
        let users = credentials.len();
        let dialect = speaking.dialect(!connecting.is_anonymous())?;
        let senders = self.senders.unwrap_or(match scenario {
            Scenario::Broadcast | Scenario::Reconnect => 1,
            Scenario::Connect
            | Scenario::Idle
            | Scenario::Direct
            | Scenario::Purchase
            | Scenario::Mixed => *connections,
        });
        ensure!((1..=*connections).contains(&senders), "senders: not 1 to {connections}");
        let mix = match scenario {
            Scenario::Direct => Mix { broadcast: 0, direct: 1, purchase: 0 },
            Scenario::Purchase => Mix { broadcast: 0, direct: 0, purchase: 1 },
            Scenario::Mixed => sending.mix,
            Scenario::Connect | Scenario::Idle | Scenario::Broadcast | Scenario::Reconnect => {
                Mix { broadcast: 1, direct: 0, purchase: 0 }
            }
        };
        if scenario.sends() && mix.direct > 0 {
            ensure!(users > 1, "a message needs another user");
            ensure!(
                users <= *connections as usize,
                "more users than connections: some would be deaf"
            );
            ensure!(!speaking.guest, "guests have no user id that a message could be sent to");
        }
        ensure!(mix.purchase == 0 || !speaking.guest, "guests may not buy");
        if *scenario == Scenario::Reconnect {
            ensure!(senders < *connections, "nobody to reconnect: all are senders");
        }
        Ok(Plan {
            scenario: *scenario,
            nodes: self.addresses()?,
            dialect,
            credentials,
            connections: *connections,
            senders,
            mix,
            pace: sending.pace()?,
            until: sending.until,
            duration: sending.duration,
            events: sending.events.unwrap_or(u64::MAX),
            warm_up: sending.warm_up,
            message_length: sending.message_length,
            missed: sending.missed,
            connect_rate: connecting.connect_rate,
            connect_window: connecting.connect_window,
            connect_timeout: connecting.connect_timeout,
            grace: sending.grace,
            aftermath: sending.aftermath,
            seed: sending.seed,
            watched: self.watched.clone(),
            is_quiet: self.quiet,
        })
    }

    fn credentials(&self) -> anyhow::Result<Vec<Credential>> {
        let users = self.users.unwrap_or(self.connections);
        ensure!(users > 0, "no users");
        let Connecting { secret, issuer, audience, token_file, .. } = &self.connecting;
        match (secret, token_file) {
            (None, None) => Ok(credentials::anonymous(&self.user_prefix, users)),
            (_, Some(path)) => {
                let mut credentials = credentials::read(path)?;
                credentials.truncate(self.connections as usize);
                Ok(credentials)
            }
            (Some(secret), None) => {
                let (issuer, audience) = (issuer.clone(), audience.clone());
                credentials::mint(
                    &self.user_prefix,
                    users,
                    &Minting { secret: secret.clone(), issuer, audience },
                )
            }
        }
    }

    fn addresses(&self) -> anyhow::Result<Vec<std::net::SocketAddr>> {
        let address = |url: &String| {
            let host = url.strip_prefix("http://").context("not http://HOST:PORT")?;
            let host = host.trim_end_matches('/');
            let with_port = if host.rsplit(']').next().is_some_and(|rest| rest.contains(':')) {
                host.to_owned()
            } else {
                format!("{host}:80")
            };
            with_port.to_socket_addrs()?.next().context("no address")
        };
        self.nodes.iter().map(|url| address(url).with_context(|| url.clone())).collect()
    }
}

impl Connecting {
    fn is_anonymous(&self) -> bool {
        self.secret.is_none() && self.token_file.is_none()
    }
}

impl Sending {
    fn pace(&self) -> anyhow::Result<Pace> {
        Ok(match (self.rate, self.in_flight, self.burst) {
            (_, Some(0), _) | (_, _, Some(0)) => bail!("nothing to send"),
            (_, Some(count), _) => Pace::InFlight(count),
            (_, _, Some(size)) => Pace::Burst { size, pause: micros(self.pause) },
            (rate, None, None) => {
                let rate = rate.unwrap_or(10.0);
                ensure!(
                    rate > 0.0 && rate.is_finite(),
                    "rate: not more than 0 (--in-flight is flat out)"
                );
                Pace::Rate(rate)
            }
        })
    }
}

impl Speaking {
    fn dialect(&self, has_tokens: bool) -> anyhow::Result<Dialect> {
        let game = if self.guest { "guest" } else { "private" };
        let (path, namespace) = match self.form {
            Form::Path => (format!("{BASE_PATH}/{game}/"), "/".to_owned()),
            Form::Namespace => ("/socket.io/".to_owned(), format!("{BASE_PATH}/{game}")),
            Form::Plain => ("/socket.io/".to_owned(), "/".to_owned()),
        };
        let is_plain = self.form == Form::Plain;
        let auth = if has_tokens {
            r#"{"token":"{token}"}"#
        } else if is_plain {
            r#"{"user":"{user}"}"#
        } else {
            ""
        };
        let (ready, accepted, order) = if is_plain {
            ("", "", Order::Sender)
        } else {
            ("core.game.connection.ready", r#""status":"ok""#, Order::Total)
        };
        let or =
            |given: &Option<String>, default: &str| given.clone().unwrap_or(default.to_owned());
        let ready = or(&self.ready_event, ready);
        let template = |event: &str, payload: &str| {
            Template::new(event, payload).with_context(|| event.to_owned())
        };
        Ok(Dialect {
            path: or(&self.path, &path),
            namespace: or(&self.namespace, &namespace),
            auth: or(&self.auth, auth),
            ready: (!ready.is_empty()).then_some(ready),
            accepted: or(&self.accepted, accepted),
            broadcast: template(&self.broadcast_event, &self.broadcast_payload)?,
            direct: template(&self.direct_event, &self.direct_payload)?,
            purchase: template(&self.purchase_event, &self.purchase_payload)?,
            order: self.order.unwrap_or(order),
        })
    }
}

fn duration(text: &str) -> Result<Duration, humantime_serde::re::humantime::DurationError> {
    humantime_serde::re::humantime::parse_duration(text)
}

fn mix(text: &str) -> anyhow::Result<Mix> {
    let shares: Vec<u32> = text.split(':').map(str::parse).collect::<Result<_, _>>()?;
    match shares.as_slice() {
        [broadcast, direct, purchase] if shares.iter().any(|share| *share > 0) => {
            Ok(Mix { broadcast: *broadcast, direct: *direct, purchase: *purchase })
        }
        _ => bail!("not three numbers"),
    }
}
