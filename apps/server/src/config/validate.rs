//! What no single type can say: bounds, and keys that depend on each other.

mod addresses;
mod secrets;
mod store;
mod traces;

use std::{fmt::Display, time::Duration};

use game_realtime_identity_adapter::build_verifier;
use game_realtime_socketio_adapter::RatesConfig;

use super::{Config, Fault, Settings};
use crate::telemetry;

/// Far beyond any use, and far from where adding to a point in time overflows.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Everything that is wrong with `config`, apart from what is `known` already.
pub(super) fn validate(config: &Config, settings: &Settings, known: &[Fault]) -> Vec<Fault> {
    let mut checks = Checks { settings, faults: Vec::new() };
    addresses::check(&config.http, &config.admin, &mut checks);
    secrets::check(config, &mut checks);
    let padded = secrets::is_padded(config.admin.api_token.as_ref());
    if let Some(weak) = config.admin.token().err().filter(|_| !padded) {
        checks.faults.push(settings.fault("admin.api_token", weak));
    }
    durations(config, &mut checks);
    sizes(config, &mut checks);
    store::check(config, &mut checks);
    traces::check(&config.telemetry.traces, &mut checks);
    if let Err(error) = telemetry::filter(&config.log.level) {
        checks.faults.push(settings.fault("log.level", error));
    }
    // A section that lacks some of its values would be blamed for more than it says.
    if !known.iter().any(|fault| fault.key.starts_with("auth.")) {
        identity(config, &mut checks);
    }
    checks.faults
}

/// Collects faults.
struct Checks<'a> {
    settings: &'a Settings,
    faults: Vec<Fault>,
}

impl Checks<'_> {
    fn require(&mut self, key: &str, holds: bool, message: impl Display) {
        if !holds {
            self.faults.push(self.settings.fault(key, message));
        }
    }
}

fn durations(config: &Config, checks: &mut Checks<'_>) {
    let Config { embedded, etcd, events, limits, shutdown, telemetry, .. } = config;
    for (key, duration, least) in [
        ("embedded.request_timeout", embedded.request_timeout, Duration::from_millis(1)),
        ("etcd.dial_timeout", etcd.dial_timeout, Duration::from_millis(1)),
        ("etcd.request_timeout", etcd.request_timeout, Duration::from_millis(1)),
        // etcd counts leases in seconds and refreshes them at a third of their life.
        ("etcd.lease_ttl", etcd.lease_ttl, Duration::from_secs(2)),
        ("etcd.isolation_grace", etcd.isolation_grace, Duration::from_millis(1)),
        ("events.replay_window", events.replay_window, Duration::from_millis(1)),
        ("events.retention", events.retention, Duration::from_millis(1)),
        ("events.idempotency_window", events.idempotency_window, Duration::from_millis(1)),
        ("events.purchases.retention", events.purchases.retention, Duration::from_millis(1)),
        (
            "events.purchases.idempotency_window",
            events.purchases.idempotency_window,
            Duration::from_millis(1),
        ),
        ("etcd.compaction_interval", etcd.compaction_interval, Duration::ZERO),
        ("limits.write_timeout", limits.write_timeout, Duration::from_millis(1)),
        ("limits.header_timeout", limits.header_timeout, Duration::from_millis(1)),
        ("limits.keep_alive_timeout", limits.keep_alive_timeout, Duration::from_millis(1)),
        ("limits.upgrade_timeout", limits.upgrade_timeout, Duration::from_millis(1)),
        ("limits.body_timeout", limits.body_timeout, Duration::from_millis(1)),
        ("limits.connect_timeout", limits.connect_timeout, Duration::from_millis(1)),
        ("limits.ping_interval", limits.ping_interval, Duration::from_millis(1)),
        ("limits.ping_timeout", limits.ping_timeout, Duration::from_millis(1)),
        ("limits.abuse_window", limits.abuse_window, Duration::from_millis(1)),
        ("shutdown.grace", shutdown.grace, Duration::from_millis(1)),
        ("telemetry.traces.batch_delay", telemetry.traces.batch_delay, Duration::from_millis(1)),
        (
            "telemetry.traces.export_timeout",
            telemetry.traces.export_timeout,
            Duration::from_millis(1),
        ),
    ] {
        checks.require(key, duration >= least, format_args!("must be at least {least:?}"));
        checks.require(key, duration <= LONGEST, "must be at most 366 days");
    }
    checks.require(
        "events.retention",
        events.retention >= events.replay_window,
        "must not be shorter than events.replay_window",
    );
    checks.require(
        "events.purchases.retention",
        events.purchases.retention >= events.replay_window,
        "must not be shorter than events.replay_window",
    );
}

fn sizes(config: &Config, checks: &mut Checks<'_>) {
    let Config { events, limits, telemetry, .. } = config;
    for (key, size) in [
        ("events.replay_events", events.replay_events),
        ("limits.message_length", limits.message_length),
        ("limits.text_length", limits.text_length),
        ("limits.good_id_length", limits.good_id_length),
        ("limits.inbox_events", limits.inbox_events),
        ("telemetry.traces.queue_spans", telemetry.traces.queue_spans),
        ("telemetry.traces.batch_spans", telemetry.traces.batch_spans),
    ] {
        checks.require(key, size > 0, "must be at least 1");
    }
    for (key, size) in [
        ("events.replay_bytes", events.replay_bytes),
        ("limits.payload_bytes", limits.payload_bytes),
        ("limits.send_buffer_bytes", limits.send_buffer_bytes),
    ] {
        checks.require(key, size > 0, "must be at least 1B");
    }
    checks.require(
        "limits.in_flight_bytes",
        limits.in_flight_bytes == 0 || limits.in_flight_bytes / 2 >= limits.payload_bytes,
        "must be at least twice limits.payload_bytes, or \"0\" for no limit",
    );
    let RatesConfig { connection, broadcast, send_message, buy_good, handshakes } = limits.rates;
    for (key, rate) in [
        ("limits.rates.connection.burst", connection),
        ("limits.rates.broadcast.burst", broadcast),
        ("limits.rates.send_message.burst", send_message),
        ("limits.rates.buy_good.burst", buy_good),
        ("limits.rates.handshakes.burst", handshakes),
    ] {
        checks.require(key, rate.burst > 0, "must be at least 1");
    }
}

fn identity(config: &Config, checks: &mut Checks<'_>) {
    for fault in build_verifier(&config.auth).err().unwrap_or_default() {
        checks.faults.push(checks.settings.fault(fault.key, fault.problem));
    }
}
