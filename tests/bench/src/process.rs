//! A process on a core of its own, and what it costs.

use std::{
    ffi::OsString,
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
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

    /// As [`start`](Self::start), but everything else on its core goes first: for what runs on
    /// machines of its own in reality.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_humble(program: &str, core: usize, configure: impl FnOnce(&mut Command)) -> Self {
        Self::launch(&["nice", "-n", "19"], program, core, configure)
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

    /// The time that cores have spent on it so far, in user and kernel mode.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        /// Clock ticks a second: Linux shows 100 to programs, whatever it uses itself.
        const TICKS: u64 = 100;
        let stat = self.proc("stat");
        // The name, in parentheses, may hold anything; `utime` and `stime` are the 12th and 13th
        // after it.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let ticks: u64 =
            fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse().unwrap_or(0)).sum();
        Duration::from_millis(ticks * 1000 / TICKS)
    }

    /// Its memory in RAM, in bytes.
    ///
    /// # Panics
    /// When the kernel does not tell.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let rollup = self.proc("smaps_rollup");
        let kilobytes = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kilobytes = kilobytes.and_then(|rest| rest.trim().strip_suffix(" kB"));
        kilobytes.and_then(|number| number.parse::<u64>().ok()).expect("Rss of a process") * 1024
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.0.id());
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Whether server and clients can be kept apart.
#[must_use]
pub fn can_bind() -> bool {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let taskset = Command::new("taskset").arg("--version").stdout(Stdio::null()).status();
    cores > CLIENTS_CORE && taskset.is_ok_and(|status| status.success())
}

/// Ends the program unless a process may open a file for every client, and some more.
///
/// # Panics
/// When it may not.
pub fn require_open_files(clients: usize) {
    let needed = clients + 100;
    let limits = fs::read_to_string("/proc/self/limits").expect("limits of this process");
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = limit.and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
    let enough = soft == "unlimited" || soft.parse::<usize>().is_ok_and(|soft| soft >= needed);
    assert!(enough, "{needed} open files are needed, {soft} allowed: raise `ulimit -n` and retry");
}

fn sibling(program: &str) -> PathBuf {
    let running = std::env::current_exe().expect("a program has a path");
    let path = running.with_file_name(program);
    assert!(path.exists(), "{} is missing: `just bench` builds it", path.display());
    path
}
