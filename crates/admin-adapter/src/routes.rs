//! Which path answers what.

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;

use crate::{Metrics, Readiness, Reason};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

#[derive(serde::Serialize)]
struct ReadinessBody<'a> {
    status: &'static str,
    reasons: &'a [Reason],
}

/// Answers a request; hyper leaves out the body where the method is HEAD.
pub(crate) async fn answer<B>(
    request: &Request<B>,
    readiness: &Readiness,
    metrics: &Metrics,
) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/healthz" | "/readyz" | "/metrics") {
        return response(StatusCode::NOT_FOUND, TEXT, "not found\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "method not allowed\n");
        refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match path {
        "/readyz" => ready(&readiness.reasons().await),
        "/metrics" => {
            readiness.record();
            response(StatusCode::OK, PROMETHEUS, metrics.render())
        }
        // Whoever can answer runs its loop.
        _ => response(StatusCode::OK, JSON, r#"{"status":"ok"}"#),
    }
}

fn ready(reasons: &[Reason]) -> Response<Full<Bytes>> {
    let (code, status) = if reasons.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    // Text and lists of text always encode.
    let body = serde_json::to_vec(&ReadinessBody { status, reasons }).unwrap_or_default();
    response(code, JSON, body)
}

pub(crate) fn response(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    // An answer about now must not come from a proxy's memory.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
