//! What each subcommand does.

mod healthcheck;

use std::{
    fmt::Display,
    io::{self, Write as _},
    time::Duration,
};

use anyhow::Context as _;
use game_realtime_application::{panics::caught_now, ports::Clock as _};
use tokio::runtime;

use crate::{
    cli::{Cli, Command, Token},
    clock::SystemClock,
    config::{self, ConfigFile, Loaded},
    open_files, panic_hook, serve, standard_error, telemetry,
    usage_error::UsageError,
};

/// How long the process waits for blocking work, such as a last write, after everything ended.
const BLOCKING_GRACE: Duration = Duration::from_secs(1);
/// How long the process waits for its last output to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How many tasks a thread resumes before it looks at what the sockets brought. A step of a client that
/// comes in takes some 100 us, so with tokio's 61 whoever plays would wait for several milliseconds.
const POLLS_BETWEEN_EVENTS: u32 = 8;

/// Does what the command line asks for.
///
/// # Errors
/// [`UsageError`] if the command line or the configuration has to change first, anything else if
/// it went wrong on the way.
pub(crate) fn run(cli: &Cli) -> anyhow::Result<()> {
    let file = ConfigFile::named_by(cli.config.as_deref());
    match cli.command.as_ref().unwrap_or(&Command::Serve) {
        Command::Serve => serve(load(file.as_ref())?),
        Command::CheckConfig => {
            load(file.as_ref())?;
            print("configuration is valid")
        }
        Command::PrintConfig => print_config(file.as_ref()),
        Command::Token(arguments) => token(&load(file.as_ref())?, arguments),
        Command::Healthcheck => {
            let config = load(file.as_ref())?.config;
            runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(healthcheck::run(&config.admin))
        }
    }
}

/// Says on the standard error what went wrong.
pub(crate) fn complain(error: &anyhow::Error) {
    // If nobody can be told, the exit code still says it.
    standard_error::say(format!("{error:#}\n"), LAST_WORDS);
}

fn load(file: Option<&ConfigFile>) -> Result<Loaded, UsageError> {
    config::load(file).map_err(UsageError::from)
}

fn serve(loaded: Loaded) -> anyhow::Result<()> {
    let log = telemetry::init(&loaded.config.log)?;
    panic_hook::install();
    open_files::make_room(loaded.config.limits.tcp_connections);
    log.start().context("cannot start the thread that writes the log")?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(POLLS_BETWEEN_EVENTS)
        .build()?;
    let served = caught_now(|| runtime.block_on(serve::run(loaded, &log)));
    // In any case: the runtime's own end waits for blocking work without a limit.
    runtime.shutdown_timeout(BLOCKING_GRACE);
    log.flush();
    served?
}

/// Prints what was read even if it cannot be used: where a wrong value comes from is what one
/// asks then.
fn print_config(file: Option<&ConfigFile>) -> anyhow::Result<()> {
    match config::load(file) {
        Ok(loaded) => print(loaded.settings),
        Err(rejected) => {
            print(&rejected.settings)?;
            Err(UsageError::from(rejected).into())
        }
    }
}

fn token(loaded: &Loaded, arguments: &Token) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let Token { user, ttl } = arguments;
    let token = game_realtime_identity_adapter::mint(&loaded.config.auth, user, *ttl, now)
        .map_err(|error| UsageError::new(error.to_string()))?;
    print(token)
}

/// Prints the result of a command, which is the only thing its standard output carries.
fn print(result: impl Display) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{result}").and_then(|()| stdout.flush()) {
        // The reader, such as `head`, closes the pipe when it has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the result"),
    }
}
