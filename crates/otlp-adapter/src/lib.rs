//! The tracer port on the OpenTelemetry protocol (OTLP over gRPC).
//!
//! [`OtlpExport`] starts the parts: `tracer` decides which events are traced and queues their spans,
//! `exporter` sends them, as many at a time as have gathered, in the words of `encode`.
//!
//! Never here: what is worth a span. And nobody waits here: what the collector does not take in
//! time is dropped and counted, and the node does not feel it.

mod config;
mod encode;
mod export;
mod exporter;
mod ids;
mod reply;
mod tracer;

pub use config::Config;
pub use export::{EndpointError, OtlpExport, Source};
