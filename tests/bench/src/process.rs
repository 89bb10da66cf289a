//! A process on a core of its own.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::LazyLock,
    thread,
};

/// The core of the server that is measured.
pub const SERVER_CORE: usize = 0;
/// The core of its clients.
pub const CLIENTS_CORE: usize = 1;

/// A running process. Killed when dropped.
pub struct Process(Child);

impl Process {
    /// Starts a program that lies beside the running one. It is bound to a core if there are
    /// several and `taskset` is there.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(program: &str, core: usize, configure: impl FnOnce(&mut Command)) -> Self {
        Self::launch(&[], program, core, configure)
    }

    /// As [`start`](Self::start), but everything else on its core goes first (`SCHED_IDLE`): for what
    /// runs on machines of its own in reality.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_humble(program: &str, core: usize, configure: impl FnOnce(&mut Command)) -> Self {
        Self::launch(&["chrt", "--idle", "0"], program, core, configure)
    }

    fn launch(
        prefix: &[&str],
        program: &str,
        core: usize,
        configure: impl FnOnce(&mut Command),
    ) -> Self {
        let mut line: Vec<OsString> = prefix.iter().map(OsString::from).collect();
        if can_bind() {
            line.extend(["taskset", "-c", &core.to_string()].map(OsString::from));
        }
        line.push(sibling(program).into());
        let (first, rest) = line.split_first().expect("at least the program");
        let mut command = Command::new(first);
        command.args(rest);
        configure(&mut command);
        Self(command.spawn().unwrap_or_else(|error| panic!("{program} does not start: {error}")))
    }

    /// The process itself.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Binds this process to a core, and what it starts without a core of its own.
///
/// # Panics
/// When the system does not let it.
pub fn bind_self(core: usize) {
    if can_bind() {
        let (core, id) = (core.to_string(), std::process::id().to_string());
        let mut taskset = Command::new("taskset");
        taskset.args(["--all-tasks", "--pid", "--cpu-list", &core, &id]).stdout(Stdio::null());
        assert!(taskset.status().is_ok_and(|status| status.success()), "bound to core {core}");
    }
}

/// Whether server and clients can be kept apart.
#[must_use]
pub fn can_bind() -> bool {
    // Asked once: a process that is bound sees one core.
    static CAN_BIND: LazyLock<bool> = LazyLock::new(|| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let taskset = Command::new("taskset").arg("--version").stdout(Stdio::null()).status();
        cores > CLIENTS_CORE && taskset.is_ok_and(|status| status.success())
    });
    *CAN_BIND
}

fn sibling(program: &str) -> PathBuf {
    let running = std::env::current_exe().expect("a program has a path");
    let path = running.with_file_name(program);
    assert!(path.exists(), "{} is missing: `just bench` builds it", path.display());
    path
}
