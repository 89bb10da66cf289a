//! How much happened: a simulation in which nothing happens proves nothing.

use std::{collections::BTreeMap, sync::Mutex};

/// Counts by name.
#[derive(Default)]
pub(crate) struct Tally(Mutex<BTreeMap<&'static str, u64>>);

impl Tally {
    pub(crate) fn count(&self, what: &'static str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&self, what: &'static str, count: u64) {
        *self.0.lock().unwrap().entry(what).or_default() += count;
    }

    pub(crate) fn add_all(&self, other: &Self) {
        for (what, count) in &*other.0.lock().unwrap() {
            self.add(what, *count);
        }
    }

    pub(crate) fn take(&self) -> Self {
        Self(Mutex::new(std::mem::take(&mut self.0.lock().unwrap())))
    }

    pub(crate) fn of(&self, what: &str) -> u64 {
        self.0.lock().unwrap().get(what).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (what, count) in &*self.0.lock().unwrap() {
            writeln!(formatter, "{count:>10} {what}")?;
        }
        Ok(())
    }
}
