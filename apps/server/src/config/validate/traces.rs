//! Where traces go.

use game_realtime_otlp_adapter::Config;
use http::Uri;

use super::Checks;

/// Far more than any collector takes at once, and less than what cannot be held in memory.
const MOST_SPANS: usize = 1 << 20;

pub(super) fn check(traces: &Config, checks: &mut Checks<'_>) {
    if let Some(endpoint) = &traces.endpoint {
        let uri = endpoint.parse::<Uri>().ok();
        let is_web = uri.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.path_and_query().is_none_or(|path| path.as_str() == "/")
        });
        // Not shown in either message: it may have a password in it.
        checks.require(
            "telemetry.traces.endpoint",
            !endpoint.contains('@'),
            "must not contain a user",
        );
        checks.require(
            "telemetry.traces.endpoint",
            is_web,
            "is not a URL such as \"http://localhost:4317\"",
        );
    }
    checks.require(
        "telemetry.traces.sampling_ratio",
        (0.0..=1.0).contains(&traces.sampling_ratio),
        "must be from 0 to 1",
    );
    checks.require(
        "telemetry.traces.service_name",
        !traces.service_name.is_empty(),
        "must not be empty",
    );
    for (key, spans) in [
        ("telemetry.traces.queue_spans", traces.queue_spans),
        ("telemetry.traces.batch_spans", traces.batch_spans),
    ] {
        checks.require(key, spans <= MOST_SPANS, format_args!("must be at most {MOST_SPANS}"));
    }
}
