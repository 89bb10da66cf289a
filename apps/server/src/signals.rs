//! What each signal does to a node that serves.
//!
//! | signal | who sends it | the node |
//! |---|---|---|
//! | SIGTERM, SIGINT | orchestrators, a terminal | drains |
//! | SIGQUIT | supervisors that were made for nginx, a terminal | drains |
//! | SIGHUP | a terminal that closes | drains |
//! | SIGUSR1, SIGUSR2 | programs that rotate logs | goes on |
//!
//! SIGHUP and SIGQUIT stay ignored if they were when the process began, as under `nohup`.

use std::{fs, sync::Arc, time::Duration};

use anyhow::Context as _;
use game_realtime_application::panics::{Watchdog, panic_point};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::log_output::LogOutput;

/// A terminal that closes can send SIGHUP twice, by the shell and by the kernel, and systemd with
/// `SendSIGHUP=` sends it right after SIGTERM: within this time it is not a second wish.
const ONE_EVENT: Duration = Duration::from_millis(500);

const HANGUP: &str = "SIGHUP";

/// A token that the first signal cancels. The second one ends the process at once.
///
/// # Errors
/// When the system refuses a handler.
pub(crate) fn stop_on_signal(
    watchdog: &Watchdog,
    log: Arc<LogOutput>,
) -> anyhow::Result<CancellationToken> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let stop = CancellationToken::new();
    let first = stop.clone();
    let follow = async move {
        let name = signals.next().await;
        panic_point("signals");
        info!(signal = name, "stopping");
        first.cancel();
        let begun = Instant::now();
        let mut name = signals.next().await;
        while name == HANGUP && begun.elapsed() < ONE_EVENT {
            name = signals.next().await;
        }
        warn!(signal = name, "stopping at once");
        log.flush();
        std::process::exit(1);
    };
    // Ends with the process.
    tokio::spawn(watchdog.clone().watch("signals", follow));
    Ok(stop)
}

/// The signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Option<Signal>,
    hangup: Option<Signal>,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let ignored = Ignored::read();
        let unless_ignored = |kind| (!ignored.contains(kind)).then(|| signal(kind)).transpose();
        let signals = Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: unless_ignored(SignalKind::quit())?,
            hangup: unless_ignored(SignalKind::hangup())?,
        };
        // Without a handler each would end the process. The handler outlives the listener.
        for kind in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
            drop(signal(kind)?);
        }
        Ok(signals)
    }

    /// Waits for one of them.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            // Of those that came together, SIGHUP is the one that came along.
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = received(&mut self.quit) => "SIGQUIT",
            () = received(&mut self.hangup) => HANGUP,
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// The signals that were set to be ignored when the process started, one bit each. Known on Linux only.
struct Ignored(u64);

impl Ignored {
    fn read() -> Self {
        Self::parse(&fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    fn parse(status: &str) -> Self {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        Self(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0))
    }

    fn contains(&self, kind: SignalKind) -> bool {
        let bit = u32::try_from(kind.as_raw_value()).ok().and_then(|number| number.checked_sub(1));
        bit.and_then(|bit| self.0.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_which_signals_are_ignored() {
        // As of `nohup`, with the SIGPIPE that the language ignores.
        let ignored = Ignored::parse("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t4\n");
        assert!(ignored.contains(SignalKind::hangup()));
        assert!(ignored.contains(SignalKind::pipe()));
        assert!(!ignored.contains(SignalKind::quit()));
        assert!(!Ignored::parse("").contains(SignalKind::hangup()));
    }
}
