//! From the three places to one checked configuration.

use std::{env, ffi::OsString};

use figment::{
    Figment,
    error::Kind,
    providers::{Format as _, Serialized, Toml},
    value::Value,
};

use super::{
    Config, ConfigFile, Fault, Settings, environment, keys::Keys, settings::Source, toml,
    validate::validate,
};
use crate::usage_error::UsageError;

/// The defaults, part of the binary.
const DEFAULTS: &str = include_str!("../../../../config/default.toml");

/// A configuration that can be used.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// For faults that show only later, such as a port that is taken.
    pub(crate) settings: Settings,
}

/// A configuration that cannot be used.
pub(crate) struct Rejected {
    /// What was read nevertheless.
    pub(crate) settings: Settings,
    /// Everything that is wrong with it, so that it can be mended at once.
    pub(crate) faults: Vec<Fault>,
}

/// Reads the defaults, `file` and the environment, and checks what they say together.
///
/// # Errors
/// [`Rejected`] with every fault.
pub(crate) fn load(file: Option<&ConfigFile>) -> Result<Loaded, Rejected> {
    load_from(file, env::vars_os())
}

pub(super) fn load_from(
    file: Option<&ConfigFile>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, Rejected> {
    let mut settings = Settings::default();
    // That they are TOML, and complete, is a test's business.
    let defaults = toml::read(DEFAULTS).unwrap_or_default();
    let keys = Keys::new(&defaults);
    let mut faults = settings.overlay(&keys, &defaults, &Source::Default);
    if let Some(file) = file {
        let source = Source::File(file.path.clone());
        match file.read() {
            Ok(values) => faults.extend(settings.overlay(&keys, &values, &source)),
            // Whatever else seems to be wrong may well be put right in that file.
            Err(fault) => return reject(settings, vec![fault]),
        }
    }
    faults.extend(environment::overlay(&mut settings, &keys, variables));
    match convert(&settings, &mut faults) {
        Some(config) => {
            faults.extend(validate(&config, &settings, &faults));
            if faults.is_empty() {
                Ok(Loaded { config, settings })
            } else {
                reject(settings, faults)
            }
        }
        None => reject(settings, faults),
    }
}

fn reject(settings: Settings, mut faults: Vec<Fault>) -> Result<Loaded, Rejected> {
    faults.sort_by(|a, b| a.key.cmp(&b.key));
    Err(Rejected { settings, faults })
}

/// Gives the values their types. Each is tried alone on top of the defaults: a conversion ends at
/// its first error, and everything that is wrong has to be named. What does not fit is left at
/// its default, so that the rest can still be checked.
fn convert(settings: &Settings, faults: &mut Vec<Fault>) -> Option<Config> {
    let defaults = Figment::from(Toml::string(DEFAULTS));
    let mut fitting = defaults.clone();
    for (key, setting) in settings.iter().filter(|(_, it)| it.source != Source::Default) {
        let value = Serialized::default(key, &setting.value);
        match defaults.clone().merge(value.clone()).extract::<Config>() {
            Ok(_) => fitting = fitting.merge(value),
            Err(error) => faults.push(settings.fault(key, reason(&error.kind, &setting.value))),
        }
    }
    match fitting.extract() {
        Ok(config) => Some(config),
        Err(error) => {
            faults.push(settings.fault(&error.path.join("."), error.kind));
            None
        }
    }
}

/// What is wrong with a value. The value is shown, which is all right: those of secret keys are
/// text and always fit.
fn reason(kind: &Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::UnknownVariant(found, known), _) => {
            format!("{found:?} is none of {}", known.join(", "))
        }
        (Kind::Message(message), Value::String(_, text)) => format!("{text:?}: {message}"),
        (Kind::Message(message), _) => message.clone(),
        (_, Value::Num(..)) => format!("{} is out of range", toml::write(value)),
        // What is left is a duration in all but its form.
        (_, Value::String(_, text)) => format!("{text:?} is not a duration such as \"5s\""),
        (other, _) => other.to_string(),
    }
}

impl From<Rejected> for UsageError {
    fn from(rejected: Rejected) -> Self {
        rejected.faults.into()
    }
}

#[cfg(test)]
mod tests {
    use humantime_serde::re::humantime;

    use super::*;
    use crate::config::size;

    /// Faults with these variables and a secret, one a line.
    fn faults(variables: &[(&str, &str)]) -> Vec<String> {
        let secret = ("GAME_REALTIME__AUTH__JWT__SECRET", "a secret for these tests only");
        let variables = variables.iter().chain([&secret]);
        let variables = variables.map(|(name, value)| ((*name).into(), (*value).into()));
        match load_from(None, variables) {
            Ok(_) => Vec::new(),
            Err(rejected) => rejected.faults.iter().map(ToString::to_string).collect(),
        }
    }

    fn fault(variable: &str, value: &str) -> String {
        faults(&[(&format!("GAME_REALTIME__{variable}"), value)]).join("\n")
    }

    #[test]
    fn the_defaults_lack_nothing_but_a_secret() {
        assert_eq!(faults(&[]), [""; 0]);
        let rejected = load_from(None, []).err().unwrap();
        assert_eq!(
            rejected.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["auth.jwt.secret: missing, algorithm HS256 needs it \
              (set neither in a file nor as GAME_REALTIME__AUTH__JWT__SECRET)"],
        );
    }

    /// Where 0 means that there is no limit.
    const MAY_BE_ZERO: [&str; 14] = [
        "embedded.space_budget",
        "etcd.compaction_interval",
        "etcd.space_budget",
        "limits.abuse_refusals",
        "limits.connections_per_ip",
        "limits.connections_per_node",
        "limits.connections_per_user",
        "limits.in_flight_bytes",
        "limits.rates.broadcast.per_second",
        "limits.rates.buy_good.per_second",
        "limits.rates.connection.per_second",
        "limits.rates.handshakes.per_second",
        "limits.rates.send_message.per_second",
        "limits.tcp_connections",
    ];

    #[test]
    fn no_number_and_no_duration_may_be_zero_but_limits() {
        let settings = load_from(None, []).err().unwrap().settings;
        for (key, setting) in settings.iter() {
            let value = &setting.value;
            let zero = match value.as_str().map(humantime::parse_duration) {
                Some(Ok(_)) => "0s",
                None if value.to_i128().is_some() && !key.ends_with(".port") => "0",
                Some(Err(_)) if value.as_str().is_some_and(|text| size::parse(text).is_ok()) => "0",
                Some(Err(_)) | None => continue,
            };
            let variable = environment::variable(key);
            let faults = faults(&[(&variable, zero)]);
            if MAY_BE_ZERO.contains(&key) {
                assert_eq!(faults, [""; 0], "{key}");
                continue;
            }
            let expected = format!("{key}: must be at least ");
            assert!(faults.iter().any(|it| it.starts_with(&expected)), "{key}: {faults:?}");
        }
    }

    #[test]
    fn values_that_do_not_fit_are_faults() {
        for (variable, value, expected) in [
            ("HTTP__PORT", "70000", "http.port: 70000 is out of range"),
            ("HTTP__PORT", "-1", "http.port: -1 is out of range"),
            ("HTTP__PORT", "8080.0", "http.port: must be an integer"),
            ("HTTP__PORT", "", "http.port: must be an integer"),
            ("HTTP__PORT", "1\nx = 2", "http.port: must be an integer"),
            ("HTTP__HOST", "localhost", r#"http.host: "localhost": invalid IP address syntax"#),
            ("STORE__BACKEND", "redis", r#"store.backend: "redis" is none of embedded, etcd"#),
            ("SHUTDOWN__GRACE", "5", r#"shutdown.grace: "5" is not a duration such as "5s""#),
            ("LOG__LEVEL", "inof", "log.level: must be off, error, "),
            ("HTTP__BASE_PATH", "/a?b", "http.base_path: must be a plain path"),
            ("HTTP__BASE_PATH", "a", "http.base_path: must begin with /"),
            ("HTTP__BASE_PATH", "/a/", "http.base_path: must not end with /"),
            ("HTTP__ALLOWED_ORIGINS", "*", "http.allowed_origins: must be a list of strings"),
            ("HTTP__ALLOWED_ORIGINS", "[1]", "http.allowed_origins: must be a list of strings"),
            ("HTTP__ALLOWED_ORIGINS", r#"["a"]"#, r#"http.allowed_origins: "a" is neither"#),
            ("ADMIN__PORT", "8080", "admin.port: must differ from http.port"),
            ("ADMIN__API_TOKEN", "", "admin.api_token: must not be empty"),
            ("ADMIN__API_TOKEN", "short", "admin.api_token: must have at least 32 characters ("),
            (
                "NAMESPACES__GUEST__ALLOW",
                r#"["x"]"#,
                r#"namespaces.guest.allow: unknown event "x""#,
            ),
            ("EMBEDDED__PATH", "", "embedded.path: must not be empty"),
            ("ETCD__LEASE_TTL", "1s", "etcd.lease_ttl: must be at least 2s"),
            ("ETCD__ENDPOINTS", "[]", "etcd.endpoints: must name at least one member"),
            ("ETCD__ENDPOINTS", r#"["etcd:2379"]"#, "etcd.endpoints: number 1 is not a URL"),
            ("ETCD__PASSWORD", "x", "etcd.username: empty"),
            ("ETCD__USERNAME", "x", "etcd.password: empty"),
            ("ETCD__TLS__CA_FILE", "/x", "etcd.tls.ca_file: needs etcd.endpoints with https"),
            ("ETCD__TLS__CA_FILE", "", "etcd.tls.ca_file: must not be empty"),
            ("EVENTS__RETENTION", "1m", "events.retention: must not be shorter than"),
            ("EVENTS__RETENTION", "99999y", "events.retention: must be at most 366 days"),
            ("AUTH__JWT__ALGORITHM", "none", r#"auth.jwt.algorithm: "none" is none of HS256, "#),
            ("AUTH__JWT__ALGORITHM", "RS256", "auth.jwt.public_key_file: missing"),
            ("AUTH__TRUSTED_HEADER__PROXIES", r#"["x"]"#, "auth.trusted_header.proxies: \"x\" is"),
            ("HTTP__TRUSTED_PROXIES", r#"["x"]"#, "http.trusted_proxies: \"x\" is not a CIDR"),
            ("LIMITS__ABUSE_WINDOW", "0s", "limits.abuse_window: must be at least"),
            (
                "LIMITS__PAYLOAD_BYTES",
                "65536",
                r#"limits.payload_bytes: "65536" has no unit: add KiB, "#,
            ),
            (
                "LIMITS__PAYLOAD_BYTES",
                "64KB",
                r#"limits.payload_bytes: "64KB" has a decimal unit: use KiB"#,
            ),
            (
                "LIMITS__IN_FLIGHT_BYTES",
                "100KiB",
                "limits.in_flight_bytes: must be at least twice limits.payload_bytes",
            ),
            ("EVENTS__REPLAY_BYTES", "-1MiB", r#"events.replay_bytes: "-1MiB" is not a size"#),
            ("ETCD__SPACE_BUDGET", "", r#"etcd.space_budget: "" is not a size"#),
            ("EMBEDDED__SPACE_BUDGET", "9e9B", r#"embedded.space_budget: "9e9B" is not a size"#),
            ("EVENTS__REPLAY_BYTES", "99999999TiB", r#"events.replay_bytes: "99999999TiB" is too"#),
            (
                "LIMITS__RATES__CONNECTION__BURST",
                "0",
                "limits.rates.connection.burst: must be at least 1",
            ),
            (
                "LIMITS__RATES__HANDSHAKES__PER_SECOND",
                "-1",
                "limits.rates.handshakes.per_second: -1 is out of range",
            ),
            (
                "TELEMETRY__TRACES__ENDPOINT",
                "collector:4317",
                "telemetry.traces.endpoint: is not a URL",
            ),
            (
                "TELEMETRY__TRACES__ENDPOINT",
                "http://a:b@collector:4317",
                "telemetry.traces.endpoint: must not contain a user",
            ),
            (
                "TELEMETRY__TRACES__SAMPLING_RATIO",
                "1.5",
                "telemetry.traces.sampling_ratio: must be from 0 to 1",
            ),
            (
                "TELEMETRY__TRACES__SAMPLING_RATIO",
                "nan",
                "telemetry.traces.sampling_ratio: must be from 0 to 1",
            ),
            (
                "TELEMETRY__TRACES__SAMPLING_RATIO",
                "half",
                "telemetry.traces.sampling_ratio: must be a number",
            ),
            (
                "TELEMETRY__TRACES__BATCH_SPANS",
                "9999999",
                "telemetry.traces.batch_spans: must be at most",
            ),
            ("HTTP", "x", "http: is a section"),
            ("NONSENSE", "x", "nonsense: unknown key"),
            ("HTTP__PROT", "1", "http.prot: unknown key"),
            ("http__port", "1", "http.port: unknown key, did you mean GAME_REALTIME__HTTP__PORT"),
        ] {
            let fault = fault(variable, value);
            assert!(fault.starts_with(expected), "{variable}={value}: {fault}");
            let origins = ["(environment variable GAME_", "(default)", "nor as GAME_"];
            assert!(origins.iter().any(|origin| fault.contains(origin)), "{fault}");
        }
    }

    #[test]
    fn text_is_taken_as_it_is_and_everything_else_as_toml() {
        let variables = [
            ("GAME_REALTIME__ETCD__USERNAME", "[\"x\"]"),
            ("GAME_REALTIME__ETCD__PASSWORD", "12345"),
            ("GAME_REALTIME__AUTH__JWT__SECRET", "true"),
            ("GAME_REALTIME__HTTP__PORT", "8_081"),
            ("GAME_REALTIME__TELEMETRY__TRACES__SAMPLING_RATIO", "1"),
            ("GAME_REALTIME__HTTP__ALLOWED_ORIGINS", "['http://a', \"http://b\"]"),
        ];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let config = load_from(None, variables).ok().unwrap().config;
        assert_eq!(config.etcd.username, "[\"x\"]");
        assert_eq!(secrecy::ExposeSecret::expose_secret(&config.etcd.password), "12345");
        assert_eq!(config.http.port, 8081);
        assert!((config.telemetry.traces.sampling_ratio - 1.0).abs() < f64::EPSILON);
        assert_eq!(config.http.allowed_origins, ["http://a", "http://b"]);
    }

    #[test]
    fn every_fault_is_reported_once_and_in_order() {
        let faults = faults(&[
            ("GAME_REALTIME__SHUTDOWN__GRACE", "0s"),
            ("GAME_REALTIME__HTTP__PORT", "x"),
            ("GAME_REALTIME__HTTP__PROT", "1"),
            ("GAME_REALTIME__AUTH__MODE", "none"),
        ]);
        let keys: Vec<_> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
        assert_eq!(keys, ["auth.mode", "http.port", "http.prot", "shutdown.grace"]);
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        let faults = faults(&[
            ("GAME_REALTIME_PORT", "tcp://10.0.0.1:8080"),
            ("GAME_REALTIME_SERVICE_HOST", "10.0.0.1"),
            ("GAME_REALTIME_CONFIG", "/elsewhere"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(faults, [""; 0]);
    }
}
