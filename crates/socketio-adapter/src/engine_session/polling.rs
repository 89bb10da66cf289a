//! The polls of a session, and the moment at which it stops polling.

use std::{
    sync::{
        OnceLock, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, MutexGuard, Notify},
    time::timeout,
};

use super::EngineSessions;

/// How long a poll waits while a WebSocket is probed: the client upgrades once its last poll is answered.
const POLL_DURING_PROBE: Duration = Duration::from_millis(100);

/// What a session has that polls, or did.
#[derive(Default)]
pub(crate) struct Polling {
    /// Its id, and where it is found by that.
    known: OnceLock<(String, Weak<EngineSessions>)>,
    /// Held by the poll that waits.
    turn: Mutex<()>,
    /// WebSockets that are probed.
    probes: AtomicU32,
    /// Whether the client has said that it polls no more.
    upgraded: AtomicBool,
    changed: Notify,
}

impl Polling {
    pub(super) fn opened(&self, id: String, sessions: Weak<EngineSessions>) {
        self.known.set((id, sessions)).ok();
    }

    /// The turn of one poll, unless there is another.
    pub(crate) fn try_turn(&self) -> Option<MutexGuard<'_, ()>> {
        self.turn.try_lock().ok()
    }

    /// The turn of the last poll.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Waits until a poll is to be answered although there is nothing to say.
    pub(crate) async fn is_ended(&self) {
        let changed = self.changed.notified();
        if self.upgraded.load(Ordering::Acquire) {
            return;
        }
        if self.probes.load(Ordering::Acquire) > 0 {
            timeout(POLL_DURING_PROBE, changed).await.ok();
        } else {
            changed.await;
        }
    }

    /// Notes that a WebSocket was probed with success, until the guard is dropped.
    pub(crate) fn probed(&self) -> Probed<'_> {
        self.probes.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
        Probed(self)
    }

    /// Notes that the client upgrades; `false` if it has done so before.
    pub(crate) fn upgrade(&self) -> bool {
        let is_first = !self.upgraded.swap(true, Ordering::AcqRel);
        self.changed.notify_waiters();
        is_first
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        if let Some((id, sessions)) = self.known.get()
            && let Some(sessions) = sessions.upgrade()
        {
            sessions.forget(id);
        }
    }
}

/// A WebSocket that is probed.
pub(crate) struct Probed<'a>(&'a Polling);

impl Drop for Probed<'_> {
    fn drop(&mut self) {
        self.0.probes.fetch_sub(1, Ordering::AcqRel);
    }
}
