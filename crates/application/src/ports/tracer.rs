//! The port to wherever traces are looked at.

use std::num::NonZero;

use tokio::time::Instant;
use uuid::Uuid;

use crate::trace::TraceContext;

/// Decides which events are traced, and takes the spans of those that are.
pub trait Tracer: Send + Sync {
    /// The context of the first span of a new trace; `None` if the trace is not sampled.
    fn sample(&self) -> Option<TraceContext>;

    /// The context of the first span of a new trace that is sampled in any case, because it belongs
    /// to one that is.
    fn root(&self) -> TraceContext;

    /// The id of another span. MUST differ from all others of its trace, whichever node makes them.
    fn next_span_id(&self) -> NonZero<u64>;

    /// Takes a span that has ended. MUST return at once, whatever becomes of the span: what it was
    /// measured on must not feel it.
    fn record(&self, span: RecordedSpan);
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedSpan {
    /// Which step it was: `layer.noun.verb`.
    pub name: &'static str,
    /// Its part in the trace.
    pub kind: SpanKind,
    /// Its place.
    pub context: TraceContext,
    /// The span that it is a part of.
    pub parent: Option<SpanParent>,
    /// A span of another trace that it has to do with.
    pub link: Option<TraceContext>,
    /// When it began.
    pub started: Instant,
    /// When it ended.
    pub ended: Instant,
    /// What is known of it, each name once.
    pub attributes: Vec<(&'static str, SpanValue)>,
    /// Why it failed, if it did, in a word.
    pub failure: Option<&'static str>,
}

/// The span that another one is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanParent {
    /// Its id. It is of the same trace.
    pub span_id: NonZero<u64>,
    /// Whether it may be another node's.
    pub is_remote: bool,
}

/// The part of a span in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Carries out what somebody asked for.
    Server,
    /// A step within the node.
    Internal,
    /// Asks somebody else for something, and waits for it.
    Client,
    /// Makes something that others go on with later.
    Producer,
    /// Goes on with it.
    Consumer,
}

/// What can be said of a span. There is no way to say what a client has made up, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanValue {
    /// One of few words.
    Name(&'static str),
    /// An id that this project has made.
    Id(Uuid),
    /// How many.
    Count(u64),
    /// Whether.
    Flag(bool),
}

impl From<&'static str> for SpanValue {
    fn from(name: &'static str) -> Self {
        Self::Name(name)
    }
}

impl From<Uuid> for SpanValue {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

impl From<u64> for SpanValue {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<bool> for SpanValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
