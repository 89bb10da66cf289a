//! Wakes the loop at a time more exact than the millisecond in which it can wait.

use std::{io, time::Duration};

use mio::{Registry, Token};

use crate::clock::Micros;

#[cfg(target_os = "linux")]
mod system {
    use std::{
        io,
        os::fd::{AsRawFd as _, OwnedFd},
    };

    use mio::{Interest, Registry, Token, unix::SourceFd};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    use crate::clock::Micros;

    pub(super) struct System(OwnedFd);

    impl System {
        pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self(timer))
        }

        /// Setting it again also takes back that it has fired.
        pub(super) fn set(&self, after: Micros) -> io::Result<()> {
            let never = Timespec { tv_sec: 0, tv_nsec: 0 };
            let after = Timespec {
                tv_sec: i64::try_from(after / 1_000_000).unwrap_or(i64::MAX),
                tv_nsec: i64::try_from(after % 1_000_000 * 1000).unwrap_or_default(),
            };
            let once = Itimerspec { it_interval: never, it_value: after };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            Ok(())
        }
    }
}

/// The timer of one loop.
pub(crate) struct Timer {
    #[cfg(target_os = "linux")]
    system: system::System,
    /// What it is set to.
    due: Option<Micros>,
}

impl Timer {
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "nothing to register"))]
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self {
            #[cfg(target_os = "linux")]
            system: system::System::new(registry, token)?,
            due: None,
        })
    }

    /// How long the loop may wait so that it is awake at `due`.
    pub(crate) fn arm(&mut self, now: Micros, due: Micros) -> io::Result<Option<Duration>> {
        let after = due.saturating_sub(now);
        if after == 0 {
            return Ok(Some(Duration::ZERO));
        }
        #[cfg(target_os = "linux")]
        {
            if self.due != Some(due) {
                self.system.set(after)?;
            }
            self.due = Some(due);
            Ok(None)
        }
        #[cfg(not(target_os = "linux"))]
        {
            self.due = Some(due);
            Ok(Some(Duration::from_micros(after)))
        }
    }

    /// It has fired, or nobody knows.
    pub(crate) fn fired(&mut self) {
        self.due = None;
    }
}
