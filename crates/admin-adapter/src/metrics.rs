//! The Prometheus view of the process, and the one list of its metrics.

use game_realtime_application::limits::Refusal;
use game_realtime_domain::{EventType, Namespace};
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use metrics_process::Collector;

use crate::api::Operation;

/// What the process did, as Prometheus reads it.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    process: Collector,
}

/// Metrics cannot be collected.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The recorder cannot be built.
    #[error("metrics recorder cannot be built")]
    Build(#[from] BuildError),
    /// There is one already, and a process has only one.
    #[error("another metrics recorder is installed")]
    AlreadyInstalled,
}

/// Bounds of the buckets of every `_seconds` histogram: half a millisecond is a commit on a fast
/// local disk, five seconds is more than any request may take.
const SECONDS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Bounds of the buckets of `game_realtime_commit_batch_events`, up to the operations that etcd
/// takes in one transaction.
const BATCH_EVENTS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// What the metrics of the operating system's view begin with.
const PROCESS_PREFIX: &str = "game_realtime_";

impl Metrics {
    /// Collects what the process emits from now on. Once per process.
    ///
    /// # Errors
    /// [`MetricsError`] when it is not the first.
    pub fn install() -> Result<Self, MetricsError> {
        let recorder = recorder()?;
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| MetricsError::AlreadyInstalled)?;
        describe();
        register();
        let process = Collector::new(PROCESS_PREFIX);
        process.describe();
        Ok(Self { handle, process })
    }

    /// All series in the Prometheus text format, version 0.0.4.
    pub(crate) fn render(&self) -> String {
        self.process.collect();
        self.handle.render()
    }

    /// Has to run now and then, or samples pile up between scrapes.
    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_batch_events".to_owned()), &BATCH_EVENTS)?
        .build_recorder())
}

/// Says what each metric is.
fn describe() {
    describe_gauge!("game_realtime_connections", "Open connections, by namespace.");
    describe_counter!(
        "game_realtime_connects_total",
        "Attempts to connect, by namespace and outcome."
    );
    describe_counter!(
        "game_realtime_disconnects_total",
        "Connections that ended, by namespace and reason."
    );
    describe_counter!("game_realtime_events_total", "Events that were sent, by type and outcome.");
    describe_counter!(
        "game_realtime_admin_requests_total",
        "Requests to the API on the admin port, by operation and outcome."
    );
    describe_counter!("game_realtime_refusals_total", "What was refused for a limit, by which.");
    describe_counter!(
        "game_realtime_deliveries_total",
        "Events handed to connections of this node, by type."
    );
    describe_histogram!(
        "game_realtime_commit_seconds",
        Unit::Seconds,
        "How long the store took for a commit."
    );
    describe_histogram!(
        "game_realtime_commit_batch_events",
        "Events that one commit of the store held."
    );
    describe_gauge!(
        "game_realtime_feed_lag_seconds",
        Unit::Seconds,
        "Age of the newest event when the feed brought it."
    );
    describe_gauge!(
        "game_realtime_clock_skew_seconds",
        Unit::Seconds,
        "Largest recent difference of an event's stamp from this node's clock; 0 if clocks agree."
    );
    describe_counter!(
        "game_realtime_feed_gaps_total",
        "Times the store had lost events that this node had not seen."
    );
    describe_counter!(
        "game_realtime_feed_unreadable_total",
        "Events in the store that this version cannot read."
    );
    describe_gauge!(
        "game_realtime_store_up",
        "1 if the store answered when last asked and knows this node, else 0."
    );
    describe_counter!(
        "game_realtime_jwks_reloads_total",
        "Changes of the key set's file, by whether its keys could be used."
    );
    describe_counter!(
        "game_realtime_recoveries_total",
        "Connections that joined, by what became of their cursor."
    );
    describe_gauge!(
        "game_realtime_timeline_events",
        "Events that returning clients can still get from memory."
    );
    describe_gauge!("game_realtime_timeline_bytes", Unit::Bytes, "Memory that those events take.");
    describe_gauge!(
        "game_realtime_feed_age_seconds",
        Unit::Seconds,
        "How long ago the feed was last known to be current."
    );
    describe_gauge!(
        "game_realtime_connections_behind",
        "Connections that have not been handed everything yet: they just joined, or do not read."
    );
    describe_counter!(
        "game_realtime_fell_behind_total",
        "Times a connection's send buffer was full."
    );
    describe_gauge!(
        "game_realtime_commit_queue_writes",
        "Writes that wait for the next transaction, by lane."
    );
    describe_counter!(
        "game_realtime_trace_spans_total",
        "Spans of traced events, by whether the collector got them."
    );
    describe_counter!(
        "game_realtime_panics_total",
        "Bugs of the node's: a connection's ends it, any other the process."
    );
    describe_counter!(
        "game_realtime_log_lines_dropped_total",
        "Log lines that were dropped, because the standard output did not take them in time."
    );
    describe_gauge!("game_realtime_ready", "1 if the node was ready when last asked, else 0.");
    describe_gauge!("game_realtime_build_info", "Always 1; the version is a label.");
    describe_etcd();
    describe_space();
}

/// What only a node on etcd has.
fn describe_etcd() {
    describe_gauge!(
        "game_realtime_lease_left_seconds",
        Unit::Seconds,
        "How long etcd keeps what this node has registered, if its leases are not renewed."
    );
    describe_gauge!("game_realtime_store_nospace", "1 while etcd refuses writes for want of room.");
    describe_counter!("game_realtime_compactions_total", "Compactions of etcd's history.");
    describe_gauge!(
        "game_realtime_log_window_seconds",
        Unit::Seconds,
        "How far back the event log reaches, by class of events."
    );
    describe_counter!(
        "game_realtime_registry_repairs_total",
        "Registrations that were mended in etcd, by what was wrong."
    );
}

/// What stores say about their space.
fn describe_space() {
    describe_gauge!(
        "game_realtime_store_space_bytes",
        Unit::Bytes,
        "Space of the store: its file, what of it is in use, and the budget (0: none)."
    );
    describe_gauge!(
        "game_realtime_store_over_budget",
        "1 while the store cannot be kept within its space budget."
    );
    describe_counter!(
        "game_realtime_pruned_events_total",
        "Events that this node deleted from the store."
    );
    describe_counter!(
        "game_realtime_space_pruned_events_total",
        "Those of them that were deleted for want of space, before their retention was over."
    );
    describe_counter!(
        "game_realtime_pruned_receipts_total",
        "Receipts of requests that this node deleted from the store."
    );
}

/// Makes the series visible whose labels are known in advance, so that the first event is an
/// increase that `rate()` can see, and dashboards are not empty on a quiet node.
fn register() {
    for namespace in Namespace::ALL {
        gauge!("game_realtime_connections", "namespace" => namespace.as_str()).set(0.0);
    }
    for event_type in EventType::ALL {
        counter!("game_realtime_deliveries_total", "type" => event_type.as_str()).absolute(0);
    }
    for status in ["fresh", "recovered", "gap"] {
        counter!("game_realtime_recoveries_total", "status" => status).absolute(0);
    }
    for outcome in ["loaded", "failed"] {
        counter!("game_realtime_jwks_reloads_total", "outcome" => outcome).absolute(0);
    }
    for operation in Operation::ALL.map(Operation::as_str) {
        for outcome in ["ok", "unauthenticated", "unavailable"] {
            counter!("game_realtime_admin_requests_total", "operation" => operation, "outcome" => outcome)
                .absolute(0);
        }
    }
    for outcome in ["exported", "failed", "dropped"] {
        counter!("game_realtime_trace_spans_total", "outcome" => outcome).absolute(0);
    }
    for refusal in Refusal::ALL {
        counter!("game_realtime_refusals_total", "reason" => refusal.as_str()).absolute(0);
    }
    counter!("game_realtime_panics_total").absolute(0);
    counter!("game_realtime_log_lines_dropped_total").absolute(0);
    counter!("game_realtime_feed_gaps_total").absolute(0);
    counter!("game_realtime_feed_unreadable_total").absolute(0);
    counter!("game_realtime_fell_behind_total").absolute(0);
    counter!("game_realtime_pruned_events_total").absolute(0);
    counter!("game_realtime_space_pruned_events_total").absolute(0);
    counter!("game_realtime_pruned_receipts_total").absolute(0);
    counter!("game_realtime_compactions_total").absolute(0);
    gauge!("game_realtime_store_over_budget").set(0.0);
    for kind in ["file", "in_use", "budget"] {
        gauge!("game_realtime_store_space_bytes", "kind" => kind).set(0.0);
    }
    for kind in ["registered", "missing", "stale"] {
        counter!("game_realtime_registry_repairs_total", "kind" => kind).absolute(0);
    }
    gauge!("game_realtime_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!("game_realtime_connections_behind").set(0.0);
    gauge!("game_realtime_ready").set(0.0);
    gauge!("game_realtime_store_nospace").set(0.0);
    gauge!("game_realtime_feed_lag_seconds").set(0.0);
    gauge!("game_realtime_clock_skew_seconds").set(0.0);
    gauge!("game_realtime_store_up").set(0.0);
    let _: metrics::Histogram = histogram!("game_realtime_commit_seconds");
    let _: metrics::Histogram = histogram!("game_realtime_commit_batch_events");
}

#[cfg(test)]
impl Metrics {
    /// Without touching the process: its own recorder, filled with what is always there.
    pub(crate) fn for_tests() -> Self {
        let recorder = recorder().unwrap();
        metrics::with_local_recorder(&recorder, || {
            describe();
            register();
        });
        Self { handle: recorder.handle(), process: Collector::new(PROCESS_PREFIX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_with_known_labels_is_visible_before_its_first_use() {
        let text = Metrics::for_tests().render();
        for line in [
            r#"game_realtime_connections{namespace="private"} 0"#,
            r#"game_realtime_connections{namespace="guest"} 0"#,
            r#"game_realtime_deliveries_total{type="core.game.state.broadcast"} 0"#,
            r#"game_realtime_deliveries_total{type="core.game.state.send_message"} 0"#,
            r#"game_realtime_deliveries_total{type="core.game.state.buy_good"} 0"#,
            r#"game_realtime_recoveries_total{status="fresh"} 0"#,
            r#"game_realtime_recoveries_total{status="recovered"} 0"#,
            r#"game_realtime_recoveries_total{status="gap"} 0"#,
            r#"game_realtime_jwks_reloads_total{outcome="failed"} 0"#,
            r#"game_realtime_refusals_total{reason="connection_rate"} 0"#,
            r#"game_realtime_refusals_total{reason="tcp_connections"} 0"#,
            "game_realtime_feed_gaps_total 0",
            "game_realtime_feed_lag_seconds 0",
            "game_realtime_store_up 0",
            "game_realtime_commit_seconds_count 0",
            r#"game_realtime_commit_seconds_bucket{le="0.0005"} 0"#,
            r#"game_realtime_commit_seconds_bucket{le="5"} 0"#,
            "# TYPE game_realtime_commit_seconds histogram",
            "# HELP game_realtime_connections Open connections, by namespace.",
        ] {
            assert!(text.lines().any(|each| each == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn commits_are_counted_in_buckets() {
        let recorder = recorder().unwrap();
        metrics::with_local_recorder(&recorder, || {
            histogram!("game_realtime_commit_seconds").record(0.002);
        });
        let text = recorder.handle().render();
        for line in [
            r#"game_realtime_commit_seconds_bucket{le="0.001"} 0"#,
            r#"game_realtime_commit_seconds_bucket{le="0.0025"} 1"#,
            r#"game_realtime_commit_seconds_bucket{le="+Inf"} 1"#,
        ] {
            assert!(text.lines().any(|each| each == line), "{line} is not in\n{text}");
        }
    }
}
