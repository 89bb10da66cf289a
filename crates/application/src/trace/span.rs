//! One step of a traced event.

use std::sync::Arc;

use tokio::time::Instant;

use super::TraceContext;
use crate::ports::{RecordedSpan, SpanKind, SpanParent, SpanValue, Tracer};

tokio::task_local! {
    /// The step that the current task carries out, as far as it is traced.
    static CURRENT: Step;
}

/// A step that others can be parts of.
#[derive(Clone)]
struct Step {
    tracer: Arc<dyn Tracer>,
    context: TraceContext,
}

/// A step that is going on. It ends, and is recorded, when it is dropped: also when whoever waited
/// for it has given up. Empty, and without effect, if its event is not traced.
#[must_use = "a span ends when it is dropped"]
pub struct Span(Option<Box<Recording>>);

struct Recording {
    tracer: Arc<dyn Tracer>,
    span: RecordedSpan,
}

impl Span {
    /// The empty span.
    pub const fn none() -> Self {
        Self(None)
    }

    /// A part of the step that the current task carries out.
    #[inline]
    pub fn of_current(name: &'static str, kind: SpanKind) -> Self {
        CURRENT.try_with(|step| step.child(name, kind)).unwrap_or(Self::none())
    }

    pub(super) fn begin(
        tracer: &Arc<dyn Tracer>,
        context: TraceContext,
        name: &'static str,
        kind: SpanKind,
        started: Instant,
    ) -> Self {
        Self::new(tracer, (context, None), name, kind, started)
    }

    pub(super) fn of_remote(
        tracer: &Arc<dyn Tracer>,
        parent: TraceContext,
        name: &'static str,
        kind: SpanKind,
    ) -> Self {
        Self::child(tracer, parent, true, name, kind)
    }

    /// The first span of a trace of its own, for what is done for several traced events at once.
    #[inline]
    pub fn aside(&self, name: &'static str, kind: SpanKind) -> Self {
        let Some(Recording { tracer, .. }) = self.0.as_deref() else { return Self::none() };
        Self::new(tracer, (tracer.root(), None), name, kind, Instant::now())
    }

    #[cold]
    fn child(
        tracer: &Arc<dyn Tracer>,
        parent: TraceContext,
        is_remote: bool,
        name: &'static str,
        kind: SpanKind,
    ) -> Self {
        let context = TraceContext { span_id: tracer.next_span_id(), ..parent };
        let parent = SpanParent { span_id: parent.span_id, is_remote };
        Self::new(tracer, (context, Some(parent)), name, kind, Instant::now())
    }

    #[cold]
    fn new(
        tracer: &Arc<dyn Tracer>,
        (context, parent): (TraceContext, Option<SpanParent>),
        name: &'static str,
        kind: SpanKind,
        started: Instant,
    ) -> Self {
        let span = RecordedSpan {
            name,
            kind,
            context,
            parent,
            link: None,
            started,
            ended: started,
            attributes: Vec::new(),
            failure: None,
        };
        Self(Some(Box::new(Recording { tracer: Arc::clone(tracer), span })))
    }

    /// Whether it will be recorded.
    #[must_use]
    #[inline]
    pub const fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// What has to travel with an event for others to go on with it.
    #[must_use]
    #[inline]
    pub fn context(&self) -> Option<TraceContext> {
        self.0.as_deref().map(|recording| recording.span.context)
    }

    /// Says something of it. Each name once.
    #[inline]
    pub fn set(&mut self, name: &'static str, value: impl Into<SpanValue>) {
        if let Some(recording) = self.0.as_deref_mut() {
            recording.set(name, value.into());
        }
    }

    /// Says that it has to do with a span of another trace.
    #[inline]
    pub fn link(&mut self, to: Option<TraceContext>) {
        if let Some(recording) = self.0.as_deref_mut() {
            recording.span.link = to;
        }
    }

    /// Says that it failed, and why, in a word.
    #[inline]
    pub fn fail(&mut self, why: &'static str) {
        if let Some(recording) = self.0.as_deref_mut() {
            recording.span.failure = Some(why);
        }
    }

    /// Carries out `future` as this step: what is traced in it is a part of it.
    pub async fn scope<F: Future + Unpin>(&self, future: F) -> F::Output {
        match self.0.as_deref() {
            Some(Recording { tracer, span }) => {
                let step = Step { tracer: Arc::clone(tracer), context: span.context };
                CURRENT.scope(step, future).await
            }
            None => future.await,
        }
    }
}

impl Step {
    fn child(&self, name: &'static str, kind: SpanKind) -> Span {
        Span::child(&self.tracer, self.context, false, name, kind)
    }
}

impl Recording {
    #[cold]
    fn set(&mut self, name: &'static str, value: SpanValue) {
        self.span.attributes.push((name, value));
    }

    #[cold]
    fn end(self) {
        let Self { tracer, mut span } = self;
        span.ended = Instant::now();
        tracer.record(span);
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if let Some(recording) = self.0.take() {
            recording.end();
        }
    }
}
