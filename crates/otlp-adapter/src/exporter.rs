//! The task that sends spans to the collector.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use game_realtime_application::ports::RecordedSpan;
use metrics::Counter;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse, trace_service_client::TraceServiceClient,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tracing::{info, warn};

use crate::{encode::Encoder, reply::ExportError};

/// How long spans that were not taken wait for the next attempt: doubling.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Dropped spans are told of once in so much time.
const DROPS_TOLD: Duration = Duration::from_secs(60);

pub(crate) struct Exporter {
    pub(crate) queue: mpsc::Receiver<RecordedSpan>,
    pub(crate) encoder: Encoder,
    pub(crate) collector: Collector,
    pub(crate) batch_spans: usize,
    pub(crate) batch_delay: Duration,
    pub(crate) drops: Drops,
    pub(crate) outcomes: Outcomes,
}

/// The way to the collector.
pub(crate) struct Collector {
    endpoint: Endpoint,
    client: TraceServiceClient<Channel>,
    timeout: Duration,
    /// Whether the last attempt failed: an outage is logged once, not at every attempt.
    failing: bool,
}

/// Spans for which the queue had no room, until somebody is told.
pub(crate) struct Drops {
    dropped: Arc<AtomicU64>,
    told_at: Option<Instant>,
}

/// What became of spans that were sent: `game_realtime_trace_spans_total`.
pub(crate) struct Outcomes {
    exported: Counter,
    failed: Counter,
}

impl Exporter {
    /// Sends what comes until it is stopped, then what is queued, if it is taken at once.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut spans = Vec::with_capacity(self.batch_spans);
        while self.fill(&mut spans, &stop).await {
            let count = spans.len();
            let request = self.encoder.request(spans.drain(..));
            let rejected = self.export(&request, &stop).await;
            self.outcomes.count(count, rejected.unwrap_or(count));
            if rejected.is_none() && stop.is_cancelled() {
                self.outcomes.count(self.queue.len(), self.queue.len());
                return;
            }
        }
    }

    /// Waits for spans, and then for more of them; `false` if there will be none.
    async fn fill(&mut self, spans: &mut Vec<RecordedSpan>, stop: &CancellationToken) -> bool {
        let mut due = None;
        while spans.len() < self.batch_spans {
            let room = self.batch_spans - spans.len();
            let stopped = self.queue.is_closed();
            let next = async {
                let next = self.queue.recv_many(spans, room);
                match due {
                    Some(due) => timeout_at(due, next).await.unwrap_or(0),
                    None => next.await,
                }
            };
            tokio::select! {
                biased;
                received = next => if received == 0 { break },
                () = stop.cancelled(), if !stopped => self.queue.close(),
            }
            if due.is_none() && !spans.is_empty() {
                due = Some(Instant::now() + self.batch_delay);
            }
        }
        !spans.is_empty()
    }

    /// Sends spans until the collector takes or refuses them. Returns how many it did not want of
    /// those that it took.
    async fn export(
        &mut self,
        request: &ExportTraceServiceRequest,
        stop: &CancellationToken,
    ) -> Option<usize> {
        let mut pause = FIRST_PAUSE;
        loop {
            self.drops.tell();
            match self.collector.send(request.clone()).await {
                Ok(rejected) => return Some(rejected),
                Err(error) if !error.is_temporary || stop.is_cancelled() => return None,
                Err(_) => {}
            }
            stop.run_until_cancelled(sleep(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Collector {
    /// The collector at `endpoint`, which may take so long for an answer. Does not connect yet.
    pub(crate) fn new(endpoint: Endpoint, timeout: Duration) -> Self {
        let client = TraceServiceClient::new(endpoint.connect_lazy());
        Self { endpoint, client, timeout, failing: false }
    }

    /// Returns how many spans it did not want.
    async fn send(&mut self, request: ExportTraceServiceRequest) -> Result<usize, ExportError> {
        let sent = match timeout(self.timeout, self.client.export(request)).await {
            Ok(Ok(response)) => Ok(rejected(response.get_ref())),
            Ok(Err(status)) => Err(ExportError::from(status)),
            Err(_elapsed) => {
                // The connection may lead nowhere.
                self.client = TraceServiceClient::new(self.endpoint.connect_lazy());
                Err(ExportError::timed_out())
            }
        };
        match &sent {
            Ok(_) if std::mem::take(&mut self.failing) => info!("spans are exported again"),
            Err(error) if !std::mem::replace(&mut self.failing, true) => {
                warn!(%error, "spans are not exported");
            }
            Ok(_) | Err(_) => {}
        }
        sent
    }
}

impl Drops {
    pub(crate) fn new(dropped: Arc<AtomicU64>) -> Self {
        Self { dropped, told_at: None }
    }

    fn tell(&mut self) {
        if self.told_at.is_some_and(|told_at| told_at.elapsed() < DROPS_TOLD) {
            return;
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            warn!(dropped, "spans are dropped, too many wait to be exported");
            self.told_at = Some(Instant::now());
        }
    }
}

impl Outcomes {
    pub(crate) fn new() -> Self {
        let of = |outcome: &'static str| metrics::counter!("game_realtime_trace_spans_total", "outcome" => outcome);
        Self { exported: of("exported"), failed: of("failed") }
    }

    fn count(&self, spans: usize, failed: usize) {
        let failed = failed.min(spans);
        self.exported.increment(u64::try_from(spans - failed).unwrap_or_default());
        self.failed.increment(u64::try_from(failed).unwrap_or_default());
    }
}

fn rejected(response: &ExportTraceServiceResponse) -> usize {
    let partial = response.partial_success.as_ref();
    partial.map_or(0, |partial| usize::try_from(partial.rejected_spans).unwrap_or_default())
}
