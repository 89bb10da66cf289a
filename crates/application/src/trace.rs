//! Traces: the steps of one event from its sender to its last recipient, on all nodes.
//!
//! A [`Span`] is one step, and records itself when it is dropped. The spans of a trace are found
//! along the way that its event takes: within a node by the task that carries it out
//! ([`Span::scope`]), so that no use case has to know of it, and between nodes by the
//! [`TraceContext`] that a store keeps with the event. Where spans go is a port,
//! [`Tracer`].
//!
//! Only sampled events have spans; for all others, and without a tracer, a [`Span`] is empty and
//! what is done with it costs a comparison. A span says nothing but names, numbers and ids: there is
//! no attribute that could hold what somebody said.

mod context;
mod span;

use std::sync::Arc;

use tokio::time::Instant;

pub use context::{InvalidTraceContext, TraceContext};
pub use span::Span;

use crate::ports::{SpanKind, Tracer};

/// Where traces go, if they go anywhere.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<dyn Tracer>>);

impl Traces {
    /// There are none.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// They go to `tracer`.
    #[must_use]
    pub fn to(tracer: Arc<dyn Tracer>) -> Self {
        Self(Some(tracer))
    }

    /// Begins a trace, with a step that began at `started`; empty if it is not sampled.
    pub fn begin(&self, name: &'static str, kind: SpanKind, started: Instant) -> Span {
        let Some(tracer) = &self.0 else { return Span::none() };
        match tracer.sample() {
            Some(context) => Span::begin(tracer, context, name, kind, started),
            None => Span::none(),
        }
    }

    /// Goes on with a trace that came from elsewhere, if one did.
    pub fn resume(&self, from: Option<TraceContext>, name: &'static str, kind: SpanKind) -> Span {
        match (&self.0, from) {
            (Some(tracer), Some(parent)) => Span::of_remote(tracer, parent, name, kind),
            (Some(_), None) | (None, _) => Span::none(),
        }
    }
}
