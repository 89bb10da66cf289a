//! The result of a run: for machines as JSON, for people as text.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Micros, seconds},
    latency::LatencySummary,
    meter::Spent,
    process::Watched,
};

/// A load generator that uses more of its core measures itself.
const BUSY: f64 = 0.9;

/// What a run has shown. Latencies are in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// What was done.
    pub scenario: String,
    /// Where.
    pub nodes: Vec<String>,
    /// Connections that were to be.
    pub connections: u32,
    /// Their users.
    pub users: usize,
    /// How connecting went; in a reconnect storm, how returning went.
    pub connect: Connecting,
    /// What was measured while events were sent, after the warm-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// By label: what the processes of the servers cost.
    pub servers: BTreeMap<String, Cost>,
    /// Whether all that was sent has arrived as it should.
    pub verdict: Verdict,
}

/// How connections were opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Connecting {
    /// From the first to the last.
    pub seconds: f64,
    /// Connections that became ready.
    pub ready: u64,
    /// So many a second.
    pub per_second: f64,
    /// From when a connection should have begun until it was ready.
    pub latency: Option<LatencySummary>,
}

/// What arrived while events were sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// How long that was.
    pub seconds: f64,
    /// Events sent.
    pub sent: u64,
    /// Answers that events were taken.
    pub answers: u64,
    /// Answers a second.
    pub answers_per_second: f64,
    /// Events that arrived at somebody.
    pub deliveries: u64,
    /// Deliveries a second.
    pub deliveries_per_second: f64,
    /// Mean bytes of a delivered event.
    pub bytes_per_delivery: f64,
    /// How much of a core the load generator itself has used. If it is nearly all, what was measured is
    /// the generator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator_cores: Option<f64>,
    /// From when an event should have been sent until it was answered.
    pub answer_latency: Option<LatencySummary>,
    /// From when an event should have been sent until somebody had it.
    pub delivery_latency: Option<LatencySummary>,
    /// From when a burst was sent until all of it had arrived everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle_latency: Option<LatencySummary>,
    /// From when a connection should have returned until it had all it had missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catch_up_latency: Option<LatencySummary>,
}

/// What processes cost in the measured time (in `connect` and `idle`: from the first connection on).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cost {
    /// The processes.
    pub pids: Vec<u32>,
    /// CPU time, user and kernel.
    pub cpu_seconds: f64,
    /// CPU time in that of the clock: 1 is a whole core.
    pub cores: f64,
    /// CPU time per answered event, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_event: Option<f64>,
    /// CPU time per delivery, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_delivery: Option<f64>,
    /// CPU time per connection opened, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_connection: Option<f64>,
    /// Memory before all but one connection were opened, in bytes.
    pub rss_bytes_before: u64,
    /// Memory in the end, with all of them.
    pub rss_bytes: u64,
    /// The growth, per connection.
    pub rss_bytes_per_connection: f64,
}

impl Cost {
    /// What some processes cost while so much happened.
    #[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
    pub(crate) fn of(
        watched: &Watched,
        spent: &Spent,
        time: Micros,
        connections: u32,
        measured: Option<&Measured>,
        connect: &Connecting,
    ) -> Self {
        let cpu = spent.cpu.as_secs_f64();
        let each = |count: u64| (count > 0).then(|| cpu * 1e6 / count as f64);
        let growth = spent.memory.saturating_sub(spent.memory_before);
        Self {
            pids: watched.pids.clone(),
            cpu_seconds: cpu,
            cores: cpu / seconds(time.max(1)),
            cpu_us_per_event: measured.and_then(|measured| each(measured.answers)),
            cpu_us_per_delivery: measured.and_then(|measured| each(measured.deliveries)),
            cpu_us_per_connection: if measured.is_some() { None } else { each(connect.ready) },
            rss_bytes_before: spent.memory_before,
            rss_bytes: spent.memory,
            // One was there before.
            rss_bytes_per_connection: growth as f64 / f64::from((connections - 1).max(1)),
        }
    }
}

/// Where everything that was sent has gone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// Nothing below is wrong.
    pub ok: bool,
    /// Events sent, the warm-up included: `accepted + refused + unanswered`.
    pub sent: u64,
    /// Events that the server took.
    pub accepted: u64,
    /// Events that the server refused.
    pub refused: u64,
    /// Events that were not answered within the grace.
    pub unanswered: u64,
    /// Deliveries that there had to be: `delivered + lost`, unless connections were lost.
    pub expected: u64,
    /// Deliveries that there were, each event counted once per connection.
    pub delivered: u64,
    /// Deliveries that are missing.
    pub lost: u64,
    /// Deliveries of what had been delivered already.
    pub doubled: u64,
    /// Deliveries after something that should have come later.
    pub out_of_order: u64,
    /// Deliveries to somebody whom they do not concern.
    pub misdirected: u64,
    /// Deliveries of events that others sent: counted, not judged.
    pub foreign: u64,
    /// Connections that were never ready.
    pub not_connected: u64,
    /// Connections that ended without being asked to.
    pub disconnected: u64,
    /// Connections that were told that they had missed nothing else than what they were then sent.
    pub recovered: u64,
    /// Connections that were told that it is not known what they missed.
    pub gaps: u64,
    /// What was said when something was refused or ended, and how often.
    pub reasons: BTreeMap<String, u64>,
}

impl Verdict {
    /// Whether nothing was lost, doubled, out of order or astray, and nobody refused or sent away.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let faults = [
            self.refused,
            self.unanswered,
            self.lost,
            self.doubled,
            self.out_of_order,
            self.misdirected,
            self.not_connected,
            self.disconnected,
            self.gaps,
        ];
        faults.iter().all(|count| *count == 0)
    }
}

impl Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { scenario, nodes, connections, users, connect, measured, servers, verdict } =
            self;
        writeln!(
            out,
            "{scenario}: {connections} connections of {users} users to {}",
            nodes.join(", ")
        )?;
        writeln!(
            out,
            "\nconnect   {} ready in {:.2} s: {:.0}/s",
            connect.ready, connect.seconds, connect.per_second
        )?;
        latency(out, "ready", connect.latency.as_ref())?;
        if let Some(measured) = measured {
            writeln!(out, "\nmeasured  {:.2} s", measured.seconds)?;
            let Measured { sent, answers, answers_per_second, .. } = measured;
            writeln!(
                out,
                "  events      {sent} sent, {answers} answered: {answers_per_second:.0}/s"
            )?;
            let Measured { deliveries, deliveries_per_second, bytes_per_delivery, .. } = measured;
            writeln!(
                out,
                "  deliveries  {deliveries}: {deliveries_per_second:.0}/s of {bytes_per_delivery:.0} bytes"
            )?;
            if let Some(cores) = measured.generator_cores {
                let warning = if cores > BUSY { ": too busy, latencies are its own" } else { "" };
                writeln!(out, "  generator   {cores:.2} cores{warning}")?;
            }
            latency(out, "answer", measured.answer_latency.as_ref())?;
            latency(out, "delivery", measured.delivery_latency.as_ref())?;
            latency(out, "everywhere", measured.settle_latency.as_ref())?;
            latency(out, "caught up", measured.catch_up_latency.as_ref())?;
        }
        for (label, cost) in servers {
            writeln!(out, "\n{label}")?;
            write!(out, "  CPU         {:.2} s, {:.2} cores", cost.cpu_seconds, cost.cores)?;
            let each = [
                ("event", cost.cpu_us_per_event),
                ("delivery", cost.cpu_us_per_delivery),
                ("connection", cost.cpu_us_per_connection),
            ];
            for (what, cost) in each {
                if let Some(cost) = cost {
                    write!(out, ", {cost:.2} us per {what}")?;
                }
            }
            writeln!(
                out,
                "\n  memory      {:.1} MiB, {:.1} KiB per connection",
                mebibytes(cost.rss_bytes),
                cost.rss_bytes_per_connection / 1024.0
            )?;
        }
        write!(out, "\n{verdict}")
    }
}

impl Display for Verdict {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { sent, accepted, expected, delivered, .. } = self;
        writeln!(out, "verdict   {}", if self.ok { "ok" } else { "FAILED" })?;
        writeln!(out, "  events      {sent} sent, {accepted} accepted")?;
        writeln!(out, "  deliveries  {delivered} of {expected}")?;
        let others = [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("out of order", self.out_of_order),
            ("misdirected", self.misdirected),
            ("of others", self.foreign),
            ("refused", self.refused),
            ("unanswered", self.unanswered),
            ("not connected", self.not_connected),
            ("disconnected", self.disconnected),
            ("recovered", self.recovered),
            ("gaps", self.gaps),
        ];
        for (what, count) in others.iter().filter(|(_, count)| *count > 0) {
            writeln!(out, "  {what:<11} {count}")?;
        }
        for (reason, count) in &self.reasons {
            writeln!(out, "    {count} x {reason}")?;
        }
        Ok(())
    }
}

fn latency(out: &mut Formatter<'_>, what: &str, latency: Option<&LatencySummary>) -> fmt::Result {
    let Some(LatencySummary { p50, p90, p99, p999, max, .. }) = latency else { return Ok(()) };
    write!(out, "  {what:<11} ")?;
    for (name, value) in [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("max", max)] {
        write!(out, " {name} {:<9}", milliseconds(*value))?;
    }
    writeln!(out)
}

fn milliseconds(micros: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
    let milliseconds = micros as f64 / 1000.0;
    match milliseconds {
        0.0..10.0 => format!("{milliseconds:.2} ms"),
        10.0..100.0 => format!("{milliseconds:.1} ms"),
        _ => format!("{milliseconds:.0} ms"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
