//! What the clients were told, counted: by the crowds, read by the sampler.

use std::{collections::BTreeMap, mem, time::Duration};

use game_realtime_loadgen::{
    clock::{Micros, micros},
    latency::{Latency, LatencySummary},
};

/// How often something was said.
type Counts = BTreeMap<String, u64>;

/// What the clients were told.
#[derive(Debug, Default)]
pub struct Tally {
    /// Events that were answered as committed, for the first time.
    pub committed: u64,
    /// Events that were committed before and asked again.
    pub repeats: u64,
    /// Events that arrived.
    pub deliveries: u64,
    /// Clients that came back and had missed nothing.
    pub recovered: u64,
    /// Clients that came back too late for the log.
    pub gaps: u64,
    /// Refusals while nothing was broken, by code.
    pub refused_in_calm: Counts,
    /// Refusals around faults, by code.
    pub refused_around_faults: Counts,
    /// Connections that ended while nothing was broken, by reason.
    pub cut_in_calm: Counts,
    /// Latencies of answers in the first part of the run, in calm.
    pub first: Latencies,
    /// Latencies of answers in the last part of the run, in calm.
    pub last: Latencies,
    /// Latencies of answers since the last sample, in calm or not.
    sample: Latencies,
    spans: Spans,
}

/// How long answers took.
#[derive(Debug, Default)]
pub struct Latencies {
    /// Of players who send little, since each event was due.
    pub quiet: Latency,
    /// Of players who send as much as they can.
    pub flood: Latency,
}

/// The parts of the run whose latencies are compared.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spans {
    first: (Micros, Micros),
    last: (Micros, Micros),
}

impl Spans {
    /// The first and the last `span` of a run, without its very beginning.
    pub(super) fn new(begin: Micros, duration: Duration, span: Duration) -> Self {
        let (end, span) = (begin + micros(duration), micros(span));
        // The calm begins after the first seconds, and belongs to the first part as a whole.
        Self {
            first: (begin, begin + span.max(micros(Duration::from_secs(20)))),
            last: (end - span, end),
        }
    }
}

/// One answer to an event that was asked once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    pub(super) is_quiet: bool,
    pub(super) is_calm: bool,
    pub(super) now: Micros,
    pub(super) took: Micros,
}

impl Tally {
    pub(super) fn set_spans(&mut self, spans: Spans) {
        self.spans = spans;
    }

    pub(super) fn record(&mut self, answered: Answered) {
        let Answered { is_quiet, is_calm, now, took } = answered;
        let within = |(begin, end): (Micros, Micros)| is_calm && (begin..end).contains(&now);
        let (first, last) = (within(self.spans.first), within(self.spans.last));
        let parts = [(&mut self.sample, true), (&mut self.first, first), (&mut self.last, last)];
        for (latencies, _) in parts.into_iter().filter(|(_, counts)| *counts) {
            let latency = if is_quiet { &mut latencies.quiet } else { &mut latencies.flood };
            latency.record(took);
        }
    }

    pub(super) fn refuse(&mut self, code: &str, is_calm: bool) {
        let counts =
            if is_calm { &mut self.refused_in_calm } else { &mut self.refused_around_faults };
        *counts.entry(code.to_owned()).or_default() += 1;
    }

    pub(super) fn cut(&mut self, why: String) {
        *self.cut_in_calm.entry(why).or_default() += 1;
    }

    /// Refusals so far.
    pub(super) fn refusals(&self) -> u64 {
        self.refused_in_calm.values().chain(self.refused_around_faults.values()).sum()
    }

    /// The latencies since the last call.
    pub(super) fn take_sample(&mut self) -> Latencies {
        mem::take(&mut self.sample)
    }
}

/// p50 and p99 in milliseconds.
pub(super) fn in_milliseconds(latency: &Latency) -> Option<(f64, f64)> {
    let LatencySummary { p50, p99, .. } = latency.summary()?;
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let milliseconds = |micros: Micros| micros as f64 / 1e3;
    Some((milliseconds(p50), milliseconds(p99)))
}
