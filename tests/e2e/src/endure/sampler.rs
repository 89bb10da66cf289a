//! Figures every few seconds: what etcd, the nodes and the store's file take, what is committed, and
//! how long answers take.

use std::{
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::{task::JoinHandle, time::interval};

use super::{fleet::SharedTargets, tally::in_milliseconds, watch::Shared};
use crate::get;

/// What was measured at one moment. Sizes are bytes, latencies milliseconds; what could not be measured
/// (the process was down) is absent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Sample {
    /// Since events are sent.
    pub seconds: f64,
    /// Whether nothing was broken.
    pub is_calm: bool,
    /// Events committed so far.
    pub committed: u64,
    /// Events committed a second since the last sample.
    pub per_second: f64,
    /// Events refused so far.
    pub refused: u64,
    /// The store's file.
    pub file: Option<u64>,
    /// What of etcd's file is in use.
    pub in_use: Option<u64>,
    /// etcd's memory in RAM, and what of it is not a mapped file.
    pub etcd_rss: Option<u64>,
    /// See [`etcd_rss`](Self::etcd_rss).
    pub etcd_heap: Option<u64>,
    /// Each node's memory in RAM.
    pub node_rss: Vec<Option<u64>>,
    /// Of the quiet players.
    pub quiet_p50: Option<f64>,
    /// Of the quiet players.
    pub quiet_p99: Option<f64>,
    /// Of the flood.
    pub flood_p50: Option<f64>,
    /// Of the flood.
    pub flood_p99: Option<f64>,
    /// Whether etcd has raised NOSPACE.
    pub is_full: bool,
}

impl Sample {
    /// What the store takes: what etcd has in use, or the file.
    #[must_use]
    pub fn held(&self) -> Option<u64> {
        self.in_use.or(self.file)
    }
}

/// Measures until it is dropped.
pub(super) struct Sampler {
    samples: Arc<Mutex<Vec<Sample>>>,
    task: JoinHandle<()>,
    /// Set when something was seen that goes on for ever.
    pub(super) is_full: Arc<AtomicBool>,
}

impl Sampler {
    pub(super) fn start(shared: Shared, targets: SharedTargets, every: Duration) -> Self {
        let samples = Arc::<Mutex<Vec<Sample>>>::default();
        let is_full = Arc::<AtomicBool>::default();
        let (kept, full) = (Arc::clone(&samples), Arc::clone(&is_full));
        let task = tokio::spawn(async move {
            let begin = shared.clock.now();
            let mut ticks = interval(every);
            let mut last = Sample::default();
            ticks.tick().await;
            loop {
                ticks.tick().await;
                let mut sample = measure(&targets).await;
                tally(&mut sample, &shared, begin);
                let time = sample.seconds - last.seconds;
                #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
                let more = sample.committed.saturating_sub(last.committed) as f64;
                sample.per_second = more / time.max(0.001);
                full.fetch_or(sample.is_full, Ordering::Relaxed);
                last = sample.clone();
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
            }
        });
        Self { samples, task, is_full }
    }

    /// All so far.
    pub(super) fn samples(&self) -> Vec<Sample> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn tally(sample: &mut Sample, shared: &Shared, begin: u64) {
    sample.seconds = game_realtime_loadgen::clock::seconds(shared.clock.now() - begin);
    sample.is_calm = shared.calm.is_now();
    let mut tally = shared.tally();
    sample.committed = tally.committed;
    sample.refused = tally.refusals();
    let latencies = tally.take_sample();
    drop(tally);
    if let Some((p50, p99)) = in_milliseconds(&latencies.quiet) {
        (sample.quiet_p50, sample.quiet_p99) = (Some(p50), Some(p99));
    }
    if let Some((p50, p99)) = in_milliseconds(&latencies.flood) {
        (sample.flood_p50, sample.flood_p99) = (Some(p50), Some(p99));
    }
}

async fn measure(targets: &SharedTargets) -> Sample {
    let targets = targets.get();
    let mut sample = Sample::default();
    if let Some(file) = &targets.file {
        sample.file = fs::metadata(file).ok().map(|metadata| metadata.len());
    }
    sample.node_rss = targets.nodes.iter().map(|pid| memory((*pid)?, "VmRSS:")).collect();
    let Some((pid, port)) = targets.etcd else { return sample };
    sample.etcd_rss = memory(pid, "VmRSS:");
    sample.etcd_heap = memory(pid, "RssAnon:");
    if let Ok(answer) = get(port, "/metrics").await {
        let metrics = answer.text();
        sample.file = value(&metrics, "etcd_mvcc_db_total_size_in_bytes");
        sample.in_use = value(&metrics, "etcd_mvcc_db_total_size_in_use_in_bytes");
    }
    if let Ok(answer) = get(port, "/health").await {
        sample.is_full = answer.body.contains("NOSPACE");
    }
    sample
}

/// The value of a metric without labels.
fn value(metrics: &str, name: &str) -> Option<u64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    let value: f64 = line.trim().parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size, whole and below 2^53"
    )]
    Some(value as u64)
}

/// A size in `/proc/<pid>/status`, in bytes.
fn memory(pid: u32, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn sizes_are_read_from_metrics() {
        let metrics = "# TYPE a gauge\na_in_use 7\na 2.4576e+06\n";
        assert_eq!(value(metrics, "a"), Some(2_457_600));
        assert_eq!(value(metrics, "b"), None);
    }
}
