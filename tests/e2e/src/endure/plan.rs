//! What a run of the endurance test does: for how long, on which store, within which budget.

use std::{env, time::Duration};

/// The gateway's own `etcd.space_budget` and `embedded.space_budget`.
const DEFAULT_BUDGET: &str = "1GiB";
/// The gateway's own `etcd.compaction_interval`.
const DEFAULT_COMPACTION: Duration = Duration::from_secs(30);

/// Where the events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndureStore {
    /// One etcd, three nodes.
    Etcd,
    /// One file, one node.
    Embedded,
}

impl EndureStore {
    /// Its name on the command line and in file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Embedded => "embedded",
        }
    }

    /// The store of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Etcd, Self::Embedded].into_iter().find(|store| store.name() == name)
    }
}

/// Everything about a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the events are kept.
    pub store: EndureStore,
    /// For how long events are sent.
    pub duration: Duration,
    /// The store's `space_budget`; empty: the key is left out.
    pub budget: String,
    /// `etcd.compaction_interval`; none: the gateway's default.
    pub compaction_interval: Option<Duration>,
    /// Further arguments of etcd.
    pub etcd_flags: Vec<String>,
    /// Players of the flood for each node.
    pub players_per_node: u32,
    /// Guests for each node; they send the broadcasts.
    pub guests_per_node: u32,
    /// Events of one sender that wait for their answer.
    pub in_flight: usize,
    /// The time from one fault to the next.
    pub fault_interval: Duration,
    /// The time from one sample to the next.
    pub sample_interval: Duration,
    /// How much the last p99 may exceed the first, as a share of it.
    pub p99_growth: f64,
    /// A difference of p99 below this is noise.
    pub p99_noise: Duration,
    /// How soon after its start a node has to be ready.
    pub ready_limit: Duration,
    /// How often the log has to be replaced as a whole.
    pub least_turnovers: f64,
}

impl Plan {
    /// The long form, as `just endure` runs it: the release build, flat out.
    #[must_use]
    pub fn long(store: EndureStore, duration: Duration, budget: String) -> Self {
        let smallest = Duration::from_secs(20);
        let fault_interval =
            (duration / 12).clamp(smallest, Duration::from_secs(180)).min(duration / 3);
        Self {
            store,
            duration,
            budget,
            compaction_interval: None,
            etcd_flags: Vec::new(),
            players_per_node: match store {
                EndureStore::Etcd => 31,
                EndureStore::Embedded => 95,
            },
            guests_per_node: match store {
                EndureStore::Etcd => 3,
                EndureStore::Embedded => 9,
            },
            in_flight: 16,
            fault_interval,
            sample_interval: Duration::from_secs(2),
            p99_growth: 0.2,
            p99_noise: Duration::from_millis(2),
            ready_limit: Duration::from_secs(3),
            least_turnovers: 0.0,
        }
    }

    /// The short form of the tests: the debug build on a busy machine, one fault.
    #[must_use]
    pub fn short(store: EndureStore, duration: Duration, budget: &str) -> Self {
        Self {
            compaction_interval: Some(Duration::from_secs(2)),
            players_per_node: 9,
            guests_per_node: 2,
            in_flight: 8,
            fault_interval: duration / 2,
            sample_interval: Duration::from_secs(1),
            p99_growth: 3.0,
            p99_noise: Duration::from_millis(500),
            ready_limit: Duration::from_secs(10),
            least_turnovers: 1.5,
            ..Self::long(store, duration, budget.to_owned())
        }
    }

    /// The long form with what the environment says: `ENDURE_BUDGET` and `ENDURE_ETCD_FLAGS`.
    #[must_use]
    pub fn from_environment(store: EndureStore, duration: Duration) -> Self {
        let budget = env::var("ENDURE_BUDGET").unwrap_or_else(|_| DEFAULT_BUDGET.to_owned());
        let flags = env::var("ENDURE_ETCD_FLAGS").unwrap_or_default();
        let etcd_flags = flags.split_whitespace().map(str::to_owned).collect();
        Self { etcd_flags, ..Self::long(store, duration, budget) }
    }

    /// Gateways.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        match self.store {
            EndureStore::Etcd => 3,
            EndureStore::Embedded => 1,
        }
    }

    /// The budget in bytes; `None` if there is none.
    ///
    /// # Panics
    /// When it is not a size.
    #[must_use]
    pub fn budget_bytes(&self) -> Option<u64> {
        let digits = self.budget.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let factor: u64 = match self.budget.get(digits.len()..).unwrap_or_default() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            unit => panic!("{unit} is not a unit of a budget"),
        };
        let number: u64 = if digits.is_empty() { 0 } else { digits.parse().expect("a size") };
        Some(number * factor).filter(|bytes| *bytes > 0)
    }

    /// For how long etcd keeps what is pruned.
    #[must_use]
    pub fn compaction(&self) -> Duration {
        match self.store {
            EndureStore::Etcd => self.compaction_interval.unwrap_or(DEFAULT_COMPACTION),
            EndureStore::Embedded => Duration::ZERO,
        }
    }

    /// The first and the last part of the run, whose latencies are compared: five minutes, or a
    /// tenth of a run that is shorter than that.
    #[must_use]
    pub fn compared_span(&self) -> Duration {
        let shortest = Duration::from_secs(10).min(self.duration / 3);
        (self.duration / 10).clamp(shortest, Duration::from_secs(300))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_size_or_none() {
        let bytes = |budget: &str| {
            Plan::short(EndureStore::Etcd, Duration::from_secs(60), budget).budget_bytes()
        };
        assert_eq!(bytes("24MiB"), Some(24 << 20));
        assert_eq!(bytes("1GiB"), Some(1 << 30));
        assert_eq!(bytes("512"), Some(512));
        assert_eq!((bytes("0"), bytes("")), (None, None));
    }
}
