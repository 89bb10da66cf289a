//! [`Tracer`] for whoever makes spans: samples, and passes on what is recorded.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use game_realtime_application::{
    ports::{RecordedSpan, Tracer},
    trace::TraceContext,
};
use metrics::Counter;
use tokio::sync::mpsc;

use crate::ids::Ids;

pub(crate) struct OtlpTracer {
    ids: Ids,
    /// A trace is sampled if the lower half of its id, without its last bit, is below this: as
    /// `TraceIdRatioBased` of the OpenTelemetry SDKs decides.
    bound: u64,
    queue: mpsc::Sender<RecordedSpan>,
    dropped: Arc<AtomicU64>,
    drops: Counter,
}

impl OtlpTracer {
    /// Passes spans on to `queue`, and counts those for which it has no room.
    pub(crate) fn new(
        sampling_ratio: f64,
        queue: mpsc::Sender<RecordedSpan>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        let drops = metrics::counter!("game_realtime_trace_spans_total", "outcome" => "dropped");
        Self { ids: Ids::new(), bound: bound(sampling_ratio), queue, dropped, drops }
    }

    fn begin(&self, low: u64) -> TraceContext {
        TraceContext { trace_id: self.ids.trace(low), span_id: self.ids.span() }
    }
}

impl Tracer for OtlpTracer {
    fn sample(&self) -> Option<TraceContext> {
        let low = self.ids.random();
        (low >> 1 < self.bound).then(|| self.begin(low))
    }

    fn root(&self) -> TraceContext {
        self.begin(self.ids.random())
    }

    fn next_span_id(&self) -> NonZero<u64> {
        self.ids.span()
    }

    fn record(&self, span: RecordedSpan) {
        if self.queue.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.drops.increment(1);
        }
    }
}

/// So much of 2^63.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a part of 2^63, which saturates"
)]
fn bound(ratio: f64) -> u64 {
    const WHOLE: u64 = 1 << 63;
    (ratio.clamp(0.0, 1.0) * WHOLE as f64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use game_realtime_application::{ports::SpanKind, trace::Traces};
    use tokio::time::Instant;

    use super::*;

    fn tracer(ratio: f64) -> OtlpTracer {
        let (queue, _) = mpsc::channel(1);
        OtlpTracer::new(ratio, queue, Arc::default())
    }

    fn sampled(ratio: f64) -> usize {
        let tracer = tracer(ratio);
        (0..100_000).filter(|_| tracer.sample().is_some()).count()
    }

    #[test]
    fn the_ratio_is_the_part_of_traces_that_is_sampled() {
        assert_eq!(sampled(0.0), 0);
        assert_eq!(sampled(1.0), 100_000);
        let tenth = sampled(0.1);
        // Six standard deviations.
        assert!((9430..10570).contains(&tenth), "{tenth}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_span_without_room_is_dropped_at_once_and_counted() {
        let (queue, mut queued) = mpsc::channel(2);
        let dropped = Arc::default();
        let tracer: Arc<dyn Tracer> = Arc::new(OtlpTracer::new(1.0, queue, Arc::clone(&dropped)));
        let traces = Traces::to(tracer);
        for name in ["first", "second", "third", "fourth"] {
            drop(traces.begin(name, SpanKind::Server, Instant::now()));
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        assert_eq!(queued.recv().await.unwrap().name, "first");
        assert_eq!(queued.recv().await.unwrap().name, "second");
        queued.close();
        drop(traces.begin("after the end", SpanKind::Server, Instant::now()));
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn ids_do_not_come_twice() {
        let tracers = [tracer(1.0), tracer(1.0)];
        let mut traces = HashSet::new();
        let mut spans = HashSet::new();
        for tracer in &tracers {
            for _ in 0..10_000 {
                for context in [tracer.sample().unwrap(), tracer.root()] {
                    assert!(traces.insert(context.trace_id));
                    assert!(spans.insert(context.span_id));
                }
                assert!(spans.insert(tracer.next_span_id()));
            }
        }
    }
}
