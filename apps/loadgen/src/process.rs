//! What processes of this machine cost, as Linux tells in `/proc`.

use std::{fs, str::FromStr, time::Duration};

use anyhow::{Context as _, anyhow};

/// Clock ticks a second: Linux shows 100 to programs, whatever it uses itself.
const TICKS: u64 = 100;

/// Some processes that are measured together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// What they are called in the report.
    pub label: String,
    /// Their numbers.
    pub pids: Vec<u32>,
}

/// `[LABEL=]PID[,PID…]`
impl FromStr for Watched {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (label, pids) = text.split_once('=').unwrap_or(("server", text));
        let pids: Result<_, _> = pids.split(',').map(str::parse).collect();
        let pids = pids.map_err(|_| anyhow!("not [LABEL=]PID[,PID...]"))?;
        Ok(Self { label: label.to_owned(), pids })
    }
}

impl Watched {
    /// The time that cores have spent on them so far, in user and kernel mode.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        self.pids.iter().map(|pid| cpu_time(*pid)).sum()
    }

    /// Their memory in RAM, in bytes.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        self.pids.iter().map(|pid| resident_bytes(*pid)).sum()
    }
}

/// The time that cores have spent on a process so far, in user and kernel mode.
///
/// # Errors
/// When it is not there.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = read(pid, "stat")?;
    // The name, in parentheses, may hold anything; `utime` and `stime` are the 12th and 13th after it.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks: u64 =
        fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse().unwrap_or(0)).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// The memory that a process has in RAM, in bytes.
///
/// # Errors
/// When it is not there.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let rollup = read(pid, "smaps_rollup")?;
    let kilobytes = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kilobytes = kilobytes.and_then(|rest| rest.trim().strip_suffix(" kB"));
    let kilobytes: Option<u64> = kilobytes.and_then(|number| number.parse().ok());
    Ok(kilobytes.context("Rss of a process")? * 1024)
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("{path}: is this a process of this machine?"))
}
