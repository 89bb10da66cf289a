//! Spans: where they stand in a trace, and that they are recorded, whatever becomes of them.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    num::NonZero,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use game_realtime_application::{
    ports::{RecordedSpan, SpanKind, SpanParent, SpanValue, Tracer},
    trace::{Span, TraceContext, Traces},
};
use tokio::time::{Instant, sleep};

/// Samples everything, counts ids up, and keeps what is recorded.
#[derive(Default)]
struct Kept {
    ids: AtomicU64,
    spans: Mutex<Vec<RecordedSpan>>,
}

impl Tracer for Kept {
    fn sample(&self) -> Option<TraceContext> {
        Some(self.root())
    }

    fn root(&self) -> TraceContext {
        let span_id = self.next_span_id();
        TraceContext { trace_id: NonZero::from(span_id), span_id }
    }

    fn next_span_id(&self) -> NonZero<u64> {
        NonZero::new(self.ids.fetch_add(1, Ordering::Relaxed) + 1).unwrap()
    }

    fn record(&self, span: RecordedSpan) {
        self.spans.lock().unwrap().push(span);
    }
}

fn traces() -> (Arc<Kept>, Traces) {
    let kept = Arc::new(Kept::default());
    let tracer: Arc<dyn Tracer> = Arc::clone(&kept) as _;
    (kept, Traces::to(tracer))
}

async fn inner() {
    let mut span = Span::of_current("inner", SpanKind::Internal);
    span.set("count", 7);
    sleep(Duration::from_secs(2)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_done_as_a_step_is_a_part_of_it() {
    let (kept, traces) = traces();
    let began = Instant::now();
    sleep(Duration::from_secs(1)).await;
    let outer = traces.begin("outer", SpanKind::Server, began);
    outer.scope(pin!(inner())).await;
    inner().await; // of no step
    drop(outer);

    let spans = kept.spans.lock().unwrap();
    let [inner, outer] = spans.as_slice() else { panic!("{spans:#?}") };
    assert_eq!((inner.name, outer.name), ("inner", "outer"));
    assert_eq!(inner.context.trace_id, outer.context.trace_id);
    let parent = SpanParent { span_id: outer.context.span_id, is_remote: false };
    assert_eq!((inner.parent, outer.parent), (Some(parent), None));
    assert_eq!(inner.attributes, [("count", SpanValue::Count(7))]);
    assert_eq!(outer.started, began);
    assert_eq!(inner.ended - inner.started, Duration::from_secs(2));
    assert_eq!(outer.ended - outer.started, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_given_up_is_recorded_all_the_same() {
    let (kept, traces) = traces();
    let outer = traces.begin("outer", SpanKind::Server, Instant::now());
    {
        let mut given_up = Box::pin(inner());
        let mut scope = pin!(outer.scope(given_up.as_mut()));
        let polled =
            std::future::poll_fn(|context| Poll::Ready(scope.as_mut().poll(context).is_ready()));
        assert!(!polled.await);
    }
    let names: Vec<_> = kept.spans.lock().unwrap().iter().map(|span| span.name).collect();
    assert_eq!(names, ["inner"]);
}

#[tokio::test]
async fn a_trace_goes_on_where_its_context_comes_to() {
    let (kept, traces) = traces();
    let first = traces.begin("first", SpanKind::Producer, Instant::now());
    let context: TraceContext = first.context().unwrap();
    let elsewhere = traces.resume(Some(context), "elsewhere", SpanKind::Consumer);
    let mut aside = elsewhere.aside("aside", SpanKind::Client);
    aside.link(first.context());
    aside.fail("unavailable");
    drop((first, elsewhere, aside));

    let spans = kept.spans.lock().unwrap();
    let [first, elsewhere, aside] = spans.as_slice() else { panic!("{spans:#?}") };
    assert_eq!(elsewhere.context.trace_id, first.context.trace_id);
    let parent = SpanParent { span_id: first.context.span_id, is_remote: true };
    assert_eq!(elsewhere.parent, Some(parent));
    assert_ne!(aside.context.trace_id, first.context.trace_id);
    assert_eq!((aside.parent, aside.link), (None, Some(first.context)));
    assert_eq!(aside.failure, Some("unavailable"));
}

#[tokio::test]
async fn without_a_tracer_there_are_no_spans() {
    let traces = Traces::off();
    let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok();
    let mut empty = traces.begin("outer", SpanKind::Server, Instant::now());
    empty.set("count", 7);
    empty
        .scope(pin!(async {
            assert!(!Span::of_current("inner", SpanKind::Internal).is_recording());
        }))
        .await;
    assert!(!empty.is_recording() && empty.context().is_none());
    assert!(!empty.aside("aside", SpanKind::Client).is_recording());
    assert!(!traces.resume(context, "elsewhere", SpanKind::Consumer).is_recording());
}
