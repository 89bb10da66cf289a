//! A run in words and as JSON.

use std::fmt;

use serde_json::{Value, json};

use super::{
    outcome::{Outcome, figure, mebibytes},
    tally::in_milliseconds,
};

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, tally, .. } = self;
        let budget = if plan.budget.is_empty() { "none" } else { &plan.budget };
        writeln!(
            formatter,
            "store {}, budget {budget}, {} node(s), etcd flags {:?}, {:.0?}",
            plan.store.name(),
            plan.nodes(),
            plan.etcd_flags.join(" "),
            self.duration(),
        )?;
        writeln!(
            formatter,
            "events      {} committed, {:.0}/s while nothing was broken; {} repeats, {} received; the \
             log turned over {:.1} times",
            tally.committed,
            self.rate_in_calm(),
            tally.repeats,
            tally.deliveries,
            self.turnovers(),
        )?;
        writeln!(
            formatter,
            "space       file {} at most, {:.0} bytes per event",
            mebibytes(self.peak(|sample| sample.file)),
            self.bytes_per_event(),
        )?;
        if let Some(last) = self.samples.last() {
            let size = |size: Option<u64>| size.map_or_else(|| "-".to_owned(), mebibytes);
            let nodes: Vec<_> = last.node_rss.iter().map(|rss| size(*rss)).collect();
            writeln!(
                formatter,
                "memory      etcd {} at most, {} at the end (heap {} and {}); nodes {} at most, {} at \
                 the end",
                mebibytes(self.peak(|sample| sample.etcd_rss)),
                size(last.etcd_rss),
                mebibytes(self.peak(|sample| sample.etcd_heap)),
                size(last.etcd_heap),
                mebibytes(self.peak(|sample| sample.node_rss.iter().flatten().max().copied())),
                nodes.join(", "),
            )?;
        }
        for (part, latencies) in [("first", &tally.first), ("last", &tally.last)] {
            let of = |latency| in_milliseconds(latency).unzip();
            let (quiet, flood) = (of(&latencies.quiet), of(&latencies.flood));
            writeln!(
                formatter,
                "answers     {part} {:.0?}: quiet player p50 {} ms, p99 {} ms; flood p50 {} ms, p99 \
                 {} ms",
                plan.compared_span(),
                figure(quiet.0),
                figure(quiet.1),
                figure(flood.0),
                figure(flood.1),
            )?;
        }
        let slowest = self.slowest_start();
        let slowest = slowest.map(|start| format!("{:.2?} ({})", start.took, start.what));
        writeln!(
            formatter,
            "faults      {:?}; {} starts, the slowest ready after {}",
            self.faults,
            self.starts.len(),
            slowest.unwrap_or_default(),
        )?;
        writeln!(
            formatter,
            "clients     {} recovered, {} gaps; refused around faults {:?}; {} \
             answers lost for good",
            tally.recovered, tally.gaps, tally.refused_around_faults, self.unknown,
        )?;
        for check in self.checks() {
            let mark = match check.is_kept {
                Some(true) => "ok    ",
                Some(false) => "FAILED",
                None => "      ",
            };
            writeln!(formatter, "{mark}      {}: {}", check.promise, check.found)?;
        }
        Ok(())
    }
}

impl Outcome {
    /// One line: kept or not, and what was not.
    #[must_use]
    pub fn verdict(&self) -> String {
        let checks = self.checks();
        let failed: Vec<_> = checks
            .iter()
            .filter(|check| check.is_kept == Some(false))
            .map(|check| check.promise)
            .collect();
        if failed.is_empty() {
            "every promise was kept".to_owned()
        } else {
            format!("FAILED: {}", failed.join("; "))
        }
    }

    /// Figures and samples.
    #[must_use]
    pub fn json(&self) -> Value {
        let latency = |latency| in_milliseconds(latency).map(|(p50, p99)| json!([p50, p99]));
        let checks: Vec<Value> = self
            .checks()
            .into_iter()
            .map(|check| {
                json!({"promise": check.promise, "found": check.found, "kept": check.is_kept})
            })
            .collect();
        let starts: Vec<Value> = self
            .starts
            .iter()
            .map(|start| json!({"what": start.what, "seconds": start.took.as_secs_f64()}))
            .collect();
        json!({
            "store": self.plan.store.name(),
            "budget": self.plan.budget,
            "etcd_flags": self.plan.etcd_flags,
            "seconds": self.seconds,
            "verdict": self.verdict(),
            "committed": self.tally.committed,
            "rate_in_calm": self.rate_in_calm(),
            "bytes_per_event": self.bytes_per_event(),
            "turnovers": self.turnovers(),
            "first_quiet_ms": latency(&self.tally.first.quiet),
            "last_quiet_ms": latency(&self.tally.last.quiet),
            "faults": self.faults,
            "starts": starts,
            "checks": checks,
            "samples": self.samples,
        })
    }
}
