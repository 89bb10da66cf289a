//! Where log lines go: to the standard output, one JSON object each, or prettier for people.

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
};

use anyhow::Context as _;
use tracing::{Subscriber, subscriber::set_global_default};
use tracing_subscriber::{
    EnvFilter,
    fmt::{self, MakeWriter},
};

use crate::{
    config::{LogConfig, LogFormat},
    log_output::LogOutput,
};

/// Sends the log lines of the process to the standard output from now on, once what is returned is
/// started.
///
/// # Errors
/// When something else did so already, or the filter cannot be parsed.
pub(crate) fn init(config: &LogConfig) -> anyhow::Result<Arc<LogOutput>> {
    let filter = filter(&config.level)?;
    let output = Arc::new(LogOutput::default());
    let writer = Arc::clone(&output);
    match config.format {
        LogFormat::Json => set_global_default(json(filter, writer)),
        LogFormat::Pretty => set_global_default(
            fmt::fmt()
                .with_env_filter(filter)
                .with_writer(writer)
                .with_ansi(io::stdout().is_terminal())
                .log_internal_errors(false)
                .finish(),
        ),
    }
    .context("log lines already go elsewhere")?;
    Ok(output)
}

/// Writes each event as one JSON object on a line of its own, its fields beside the time (RFC
/// 3339), the level and the message.
fn json<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    fmt::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .json()
        .flatten_event(true)
        .with_span_list(false)
        // It would write them to the standard error, and block if the reader of that has stalled.
        .log_internal_errors(false)
        .finish()
}

/// A filter is not one.
#[derive(Debug, thiserror::Error)]
#[error("must be off, error, warn, info, debug, trace, or a filter such as \"info,hyper=debug\"")]
pub(crate) struct InvalidFilter;

/// Parses `log.level`.
///
/// # Errors
/// [`InvalidFilter`], also for a lone word that is no level: the syntax would take it for a
/// module's name and turn everything else off, and most likely it is a typing error.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, InvalidFilter> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let meant = |directive: &str| {
        directive.contains(['=', '[']) || LEVELS.iter().any(|it| it.eq_ignore_ascii_case(directive))
    };
    // The library takes a directive apart at the wrong places if a space comes before it, and panics if
    // such a place is within a character.
    let directives: Vec<_> = level.split(',').map(str::trim).collect();
    if !directives.iter().copied().all(meant) {
        return Err(InvalidFilter);
    }
    EnvFilter::builder().parse(directives.join(",")).map_err(|_| InvalidFilter)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, sync::Mutex};

    use super::*;

    #[test]
    fn a_log_line_is_one_json_object_with_the_fields_beside_the_message() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let writer = Mutex::new(File::create(&path).unwrap());
        tracing::subscriber::with_default(json(filter("info").unwrap(), writer), || {
            tracing::info!(connection.id = "c1", duration_ms = 5, "first\nline");
            tracing::debug!("not this one");
            tracing::warn!("second");
        });
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0]["message"], "first\nline");
        assert_eq!(lines[0]["level"], "INFO");
        assert_eq!(lines[0]["connection.id"], "c1");
        assert_eq!(lines[0]["duration_ms"], 5);
        let time = lines[1]["timestamp"].as_str().unwrap();
        assert!(time.contains('T') && time.ends_with('Z'), "{time}");
    }

    #[test]
    fn a_filter_is_a_level_or_a_list_of_levels_per_module() {
        for valid in ["off", "INFO", "debug", "info,hyper=debug,a::b=trace", " info, hyper=debug "]
        {
            assert!(filter(valid).is_ok(), "{valid}");
        }
        for invalid in
            ["", "inof", "info,", "info,hyper", "info, hyper", "hyper=loud", "5", "\nX-é["]
        {
            assert!(filter(invalid).is_err(), "{invalid}");
        }
    }
}
