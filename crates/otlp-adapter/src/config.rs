//! The `telemetry.traces` section of the configuration.

use std::time::Duration;

/// Where traces go and how many.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The URL of an OpenTelemetry collector that takes OTLP over gRPC; unset: there are no traces.
    pub endpoint: Option<String>,
    /// Which part of the events that this node takes in is traced, from 0 to 1. Events that another
    /// node traces are traced here too.
    pub sampling_ratio: f64,
    /// `service.name` of the spans.
    pub service_name: String,
    /// `service.instance.id` of the spans; unset: the id of the node.
    pub service_instance: Option<String>,
    /// Spans that wait to be sent; beyond it they are dropped.
    pub queue_spans: usize,
    /// Spans that are sent at once, at most.
    pub batch_spans: usize,
    /// How long a span may wait for others to be sent with.
    #[serde(with = "humantime_serde")]
    pub batch_delay: Duration,
    /// How long the collector may take for an answer.
    #[serde(with = "humantime_serde")]
    pub export_timeout: Duration,
}
