//! Writing on a disk that may fail: closes the file and opens it again until it works.

use std::time::Duration;

use game_realtime_application::ports::StoreError;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    Writer,
    batch::{Work, Written},
    command::Append,
    pruning::Order,
    report_up,
};
use crate::fault::Fault;

/// How often pruning looks for something to do.
const PRUNE_INTERVAL: Duration = Duration::from_secs(5);
/// How long nothing was appended before the writer does what takes long.
const QUIET: Duration = Duration::from_secs(2);
/// How long the writer waits after a failure before it tries again by itself.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

impl Writer {
    /// Whether a write would succeed now: the last one did, or another one does.
    pub(super) fn probe(&mut self) -> Result<(), StoreError> {
        if self.fault.is_some() || self.database.is_suspect() {
            self.write(&[], true)?;
        }
        Ok(())
    }

    /// Mends what is broken, then prunes.
    pub(super) fn idle(&mut self) {
        let probe = self.fault.is_some() || self.database.is_suspect();
        // Whoever needs the store learns of a failure; it was logged.
        if self.write(&[], probe).is_ok()
            && self.appended_at.elapsed() >= QUIET
            && self.space.compaction_is_due(self.database.length())
        {
            self.compact();
        }
    }

    /// Cuts a file that is too long. Nobody is served meanwhile.
    fn compact(&mut self) {
        match self.database.compact() {
            Ok(()) => self.space.compare(self.database.length(), false),
            Err(fault) => {
                self.fail(&fault);
                self.must_reopen = true;
            }
        }
    }

    /// Writes one transaction, after opening the file again if need be.
    pub(super) fn write(&mut self, appends: &[Append], probe: bool) -> Result<Written, Fault> {
        self.mend()?;
        let now = self.clock.now();
        let work = Work {
            appends,
            now,
            order: Order {
                retention: &self.retention,
                now,
                by_age: self.prune_at <= Instant::now(),
                target: self.space.target(),
                pressed: self.space.pressed,
            },
            probe,
        };
        match Fault::catch(|| work.write(&self.database)) {
            Ok(written) => {
                if let Some(more) = written.pruned.more_by_age {
                    let pause = if more { Duration::ZERO } else { PRUNE_INTERVAL };
                    self.prune_at = Instant::now() + pause;
                }
                self.space.note(&written.ledger, &written.pruned, self.database.length());
                if self.fault.take().is_some() {
                    info!("the embedded store writes again");
                    report_up(true);
                }
                Ok(written)
            }
            Err(fault) => {
                self.fail(&fault);
                self.must_reopen = true;
                // At once: readers need the file too.
                self.reopen().ok();
                Err(fault)
            }
        }
    }

    /// When to look after the file if nobody asks for anything.
    pub(super) fn wake_at(&self) -> Instant {
        if self.fault.is_some() {
            self.retry_at
        } else if self.space.pressed {
            Instant::now()
        } else {
            self.prune_at
        }
    }

    /// Opens the file again if a failure made that necessary, but not all the time.
    fn mend(&mut self) -> Result<(), Fault> {
        self.must_reopen |= self.database.is_suspect();
        if !self.must_reopen {
            return Ok(());
        }
        match &self.fault {
            Some(fault) if Instant::now() < self.retry_at => Err(fault.clone()),
            _ => self.reopen(),
        }
    }

    /// Opens the file again. What was committed although the commit failed becomes visible,
    /// complete.
    fn reopen(&mut self) -> Result<(), Fault> {
        let reopened = self.database.reopen().and_then(|state| {
            let ours = state.epoch == self.epoch && state.ledger.last_event >= *self.head.borrow();
            if ours { Ok(state) } else { Err(Fault::corrupt("another file is in its place")) }
        });
        match reopened {
            Ok(state) => {
                self.must_reopen = false;
                self.publish(state.ledger.last_event);
                Ok(())
            }
            Err(fault) => {
                // Nobody shall read what is not ours.
                self.database.close().ok();
                self.fail(&fault);
                Err(fault)
            }
        }
    }

    fn fail(&mut self, fault: &Fault) {
        if self.fault.is_none() {
            warn!(error = %fault, "the embedded store cannot write");
            report_up(false);
        }
        self.fault = Some(fault.clone());
        self.retry_at = Instant::now() + RETRY_PAUSE;
        // What failed may have been the pruning: events come first.
        self.prune_at = Instant::now() + PRUNE_INTERVAL;
    }
}
