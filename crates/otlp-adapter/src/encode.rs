//! Spans in the words of OTLP.

use std::{
    num::NonZero,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use game_realtime_application::{
    ports::{RecordedSpan, SpanKind, SpanValue},
    trace::TraceContext,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Link, SpanKind as WireKind},
        status::StatusCode,
    },
};
use tokio::time::Instant;

/// Flags of a span: its trace is sampled...
const SAMPLED: u32 = 0x1;
/// ...the next flag says whether its parent is another process'...
const KNOWS_REMOTE: u32 = 0x100;
/// ...and it is.
const IS_REMOTE: u32 = 0x200;

/// Knows what is the same for all spans of a node.
pub(crate) struct Encoder {
    resource: Resource,
    scope: InstrumentationScope,
    now: fn() -> SystemTime,
}

/// What time it is, by both clocks.
struct Clocks {
    system: Duration,
    monotonic: Instant,
}

impl Encoder {
    /// `resource` says whose spans they are; `now` tells the time of day.
    pub(crate) fn new(resource: &[(&str, &str)], version: &str, now: fn() -> SystemTime) -> Self {
        let attribute = |(name, value): &(&str, &str)| attribute(name, text(value));
        Self {
            resource: Resource {
                attributes: resource.iter().map(attribute).collect(),
                ..Resource::default()
            },
            scope: InstrumentationScope {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: version.to_owned(),
                ..InstrumentationScope::default()
            },
            now,
        }
    }

    /// One request with all the spans.
    pub(crate) fn request(
        &self,
        spans: impl Iterator<Item = RecordedSpan>,
    ) -> ExportTraceServiceRequest {
        let clocks = Clocks {
            system: (self.now)().duration_since(UNIX_EPOCH).unwrap_or_default(),
            monotonic: Instant::now(),
        };
        let scope_spans = ScopeSpans {
            scope: Some(self.scope.clone()),
            spans: spans.map(|span| encode(span, &clocks)).collect(),
            ..ScopeSpans::default()
        };
        let resource_spans = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
    }
}

impl Clocks {
    /// Nanoseconds since 1970.
    fn time_of(&self, moment: Instant) -> u64 {
        let since = self.system.saturating_sub(self.monotonic.saturating_duration_since(moment));
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

fn encode(span: RecordedSpan, clocks: &Clocks) -> Span {
    let (parent_span_id, is_remote) = match span.parent {
        Some(parent) => (bytes(parent.span_id), parent.is_remote),
        None => (Vec::new(), false),
    };
    let remote = if is_remote { IS_REMOTE } else { 0 };
    let values = span.attributes.into_iter();
    Span {
        trace_id: span.context.trace_id.get().to_be_bytes().to_vec(),
        span_id: bytes(span.context.span_id),
        parent_span_id,
        flags: SAMPLED | KNOWS_REMOTE | remote,
        name: span.name.to_owned(),
        kind: wire_kind(span.kind).into(),
        start_time_unix_nano: clocks.time_of(span.started),
        end_time_unix_nano: clocks.time_of(span.ended),
        attributes: values.map(|(name, value)| attribute(name, wire_value(value))).collect(),
        links: span.link.into_iter().map(link).collect(),
        status: span
            .failure
            .map(|failure| Status { message: failure.to_owned(), code: StatusCode::Error.into() }),
        ..Span::default()
    }
}

fn link(to: TraceContext) -> Link {
    Link {
        trace_id: to.trace_id.get().to_be_bytes().to_vec(),
        span_id: bytes(to.span_id),
        flags: SAMPLED | KNOWS_REMOTE,
        ..Link::default()
    }
}

fn bytes(span_id: NonZero<u64>) -> Vec<u8> {
    span_id.get().to_be_bytes().to_vec()
}

fn wire_kind(kind: SpanKind) -> WireKind {
    match kind {
        SpanKind::Server => WireKind::Server,
        SpanKind::Internal => WireKind::Internal,
        SpanKind::Client => WireKind::Client,
        SpanKind::Producer => WireKind::Producer,
        SpanKind::Consumer => WireKind::Consumer,
    }
}

fn wire_value(value: SpanValue) -> Value {
    match value {
        SpanValue::Name(name) => text(name),
        SpanValue::Id(id) => text(&id.to_string()),
        SpanValue::Count(count) => Value::IntValue(i64::try_from(count).unwrap_or(i64::MAX)),
        SpanValue::Flag(flag) => Value::BoolValue(flag),
    }
}

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

fn attribute(name: &str, value: Value) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
