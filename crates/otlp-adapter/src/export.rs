//! Starts the export, and ends it.

use std::{sync::Arc, time::SystemTime};

use game_realtime_application::trace::Traces;
use game_realtime_domain::NodeId;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::{ClientTlsConfig, Endpoint};
use tracing::{info, warn};

use crate::{
    Config,
    encode::Encoder,
    exporter::{Collector, Drops, Exporter, Outcomes},
    tracer::OtlpTracer,
};

/// Whose spans are exported.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// The node.
    pub node_id: NodeId,
    /// The version of the program.
    pub version: &'static str,
    /// Tells the time of day.
    pub now: fn() -> SystemTime,
}

/// The endpoint cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("telemetry.traces.endpoint cannot be used: {0}")]
pub struct EndpointError(#[from] tonic::transport::Error);

/// An export that goes on.
pub struct OtlpExport {
    traces: Traces,
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl OtlpExport {
    /// Starts it if the configuration names an endpoint. The collector need not be there.
    ///
    /// # Errors
    /// When the endpoint cannot be one, or the system's certificates cannot be read.
    pub fn start(config: &Config, source: Source) -> Result<Option<Self>, EndpointError> {
        let Some(address) = &config.endpoint else { return Ok(None) };
        let mut endpoint =
            Endpoint::from_shared(address.clone())?.connect_timeout(config.export_timeout);
        if endpoint.uri().scheme_str() == Some("https") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
        }
        let node_id = source.node_id.to_string();
        let resource = [
            ("service.name", config.service_name.as_str()),
            ("service.version", source.version),
            ("service.instance.id", config.service_instance.as_deref().unwrap_or(&node_id)),
            ("node.id", &node_id),
        ];
        let (spans, queue) = mpsc::channel(config.queue_spans);
        let dropped = Arc::default();
        let exporter = Exporter {
            queue,
            encoder: Encoder::new(&resource, source.version, source.now),
            collector: Collector::new(endpoint, config.export_timeout),
            batch_spans: config.batch_spans,
            batch_delay: config.batch_delay,
            drops: Drops::new(Arc::clone(&dropped)),
            outcomes: Outcomes::new(),
        };
        info!(
            endpoint = address.as_str(),
            sampling_ratio = config.sampling_ratio,
            "events are traced"
        );
        let stop = CancellationToken::new();
        Ok(Some(Self {
            traces: Traces::to(Arc::new(OtlpTracer::new(config.sampling_ratio, spans, dropped))),
            task: tokio::spawn(exporter.run(stop.clone())),
            stop,
        }))
    }

    /// Where spans go to be exported.
    #[must_use]
    pub fn traces(&self) -> Traces {
        self.traces.clone()
    }

    /// Sends what is queued, until `deadline` at the latest. What comes later is dropped.
    pub async fn close(mut self, deadline: Instant) {
        self.stop.cancel();
        if timeout_at(deadline, &mut self.task).await.is_err() {
            self.task.abort();
            warn!("the last spans are not exported");
        }
    }
}
