//! What the watched processes cost between two moments.

use std::time::Duration;

use crate::{
    clock::{Micros, seconds},
    process::{Watched, cpu_time},
};

/// Reads their CPU time and memory.
pub(crate) struct Meter<'a> {
    watched: &'a [Watched],
    begin: Micros,
    cpu: Vec<Duration>,
    memory: Vec<u64>,
    /// CPU time of this process, where the system tells.
    own_cpu: Option<Duration>,
}

/// What they have cost.
pub(crate) struct Reading {
    /// How long it was measured.
    pub(crate) time: Micros,
    /// One for each watched label.
    pub(crate) costs: Vec<Spent>,
}

/// What the processes of one label have cost.
pub(crate) struct Spent {
    pub(crate) cpu: Duration,
    /// Bytes, before the connections were opened.
    pub(crate) memory_before: u64,
    /// Bytes, now.
    pub(crate) memory: u64,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(watched: &'a [Watched]) -> Self {
        Self { watched, begin: 0, cpu: Vec::new(), memory: Vec::new(), own_cpu: None }
    }

    /// Measures CPU time and memory from now on.
    pub(crate) fn start(&mut self, now: Micros) -> anyhow::Result<()> {
        self.memory = self.watched.iter().map(Watched::resident_bytes).collect::<Result<_, _>>()?;
        self.restart(now)
    }

    /// Measures CPU time from now on.
    pub(crate) fn restart(&mut self, now: Micros) -> anyhow::Result<()> {
        self.cpu = self.watched.iter().map(Watched::cpu_time).collect::<Result<_, _>>()?;
        self.own_cpu = cpu_time(std::process::id()).ok();
        self.begin = now;
        Ok(())
    }

    /// How much of a core this process has used since.
    pub(crate) fn own_cores(&self, now: Micros) -> Option<f64> {
        let spent = cpu_time(std::process::id()).ok()?.saturating_sub(self.own_cpu?);
        Some(spent.as_secs_f64() / seconds(now.saturating_sub(self.begin).max(1)))
    }

    /// What they have cost so far.
    pub(crate) fn read(&self, now: Micros) -> anyhow::Result<Reading> {
        let mut costs = Vec::new();
        for ((watched, cpu), memory) in self.watched.iter().zip(&self.cpu).zip(&self.memory) {
            costs.push(Spent {
                cpu: watched.cpu_time()?.saturating_sub(*cpu),
                memory_before: *memory,
                memory: watched.resident_bytes()?,
            });
        }
        Ok(Reading { time: now.saturating_sub(self.begin), costs })
    }
}
