//! Keys, defaults, precedence, faults and secrets.

use crate::{ConfigFile, SECRET, WITH_SECRET, run};

/// The keys and defaults of the contract, section 7.
const DEFAULTS: &str = r#"
http.host = "0.0.0.0"
http.port = 8080
http.base_path = "/core/game/v1/real-time"
http.allowed_origins = []
admin.host = "127.0.0.1"
admin.port = 9090
store.backend = "embedded"
embedded.path = "data/game-realtime.redb"
embedded.space_budget = "1GiB"
etcd.endpoints = ["http://localhost:2379"]
etcd.dial_timeout = "5s"
etcd.request_timeout = "3s"
etcd.username = ""
etcd.password = "[redacted]"
etcd.prefix = "/core/game/v1"
etcd.lease_ttl = "10s"
etcd.isolation_grace = "60s"
etcd.space_budget = "1GiB"
etcd.compaction_interval = "30s"
auth.mode = "jwt"
auth.jwt.algorithm = "HS256"
auth.trusted_header.name = "X-User-ID"
auth.trusted_header.proxies = []
namespaces.private.allow = ["core.game.state.broadcast", "core.game.state.send_message", "core.game.state.buy_good"]
namespaces.guest.allow = ["core.game.state.broadcast", "core.game.state.send_message"]
events.replay_window = "10m"
events.replay_bytes = "128MiB"
events.retention = "1h"
events.idempotency_window = "1h"
events.purchases.retention = "7d"
events.purchases.idempotency_window = "24h"
limits.payload_bytes = "64KiB"
limits.send_buffer_bytes = "1MiB"
limits.in_flight_bytes = "256MiB"
shutdown.grace = "5s"
log.level = "info"
log.format = "json"
"#;

/// The line of one key in the effective configuration.
fn effective(key: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let arguments = [&["print-config"], arguments].concat();
    let run = run(&arguments, &[&[WITH_SECRET], variables].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let line = run.stdout.lines().find(|line| line.starts_with(&format!("{key} = ")));
    line.unwrap_or_default().to_owned()
}

fn faults(file: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let file = ConfigFile::new(file);
    let run = run(&["check-config", "--config", file.as_str()], variables);
    assert_eq!(run.code, Some(2), "{}", run.stdout);
    assert!(run.stdout.is_empty(), "{}", run.stdout);
    run.stderr.lines().map(|line| line.replace(file.as_str(), "FILE")).collect()
}

#[test]
fn every_key_of_the_contract_has_its_default() {
    let run = run(&["print-config"], &[WITH_SECRET]);
    for line in DEFAULTS.trim().lines() {
        let line = format!("{line}  # default");
        assert!(run.stdout.lines().any(|each| each == line), "{line}\n{}", run.stdout);
    }
}

#[test]
fn the_development_configuration_is_as_printed() {
    let run = run(&["print-config", "--config", "config/dev.toml"], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    insta::assert_snapshot!(run.stdout);
}

#[test]
fn what_is_printed_can_be_read_again() {
    let printed = run(&["print-config", "--config", "config/dev.toml"], &[]).stdout;
    let usable =
        printed.lines().filter(|line| !line.contains("[redacted]")).collect::<Vec<_>>().join("\n");
    let file = ConfigFile::new(&usable);
    let again = run(&["print-config", "--config", file.as_str()], &[WITH_SECRET]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let values = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.split("  # ").next()).map(str::to_owned).collect()
    };
    assert_eq!(values(&printed), values(&again.stdout));
}

#[test]
fn a_file_goes_before_the_defaults_and_the_environment_before_both() {
    let named_by_option = ConfigFile::new("http.port = 1000\nadmin.port = 1001");
    let named_by_variable = ConfigFile::new("http.port = 2000");
    let variables = [("GAME_REALTIME_CONFIG", named_by_variable.as_str())];
    assert_eq!(
        effective("http.port", &[], &variables),
        format!("http.port = 2000  # {}", named_by_variable.as_str()),
    );
    let option = ["--config", named_by_option.as_str()];
    assert_eq!(
        effective("http.port", &option, &variables),
        format!("http.port = 1000  # {}", named_by_option.as_str()),
    );
    let variables = [variables[0], ("GAME_REALTIME__HTTP__PORT", "3000")];
    assert_eq!(
        effective("http.port", &option, &variables),
        "http.port = 3000  # GAME_REALTIME__HTTP__PORT",
    );
    assert_eq!(
        effective("admin.port", &option, &variables),
        format!("admin.port = 1001  # {}", named_by_option.as_str()),
    );
    let none = [("GAME_REALTIME_CONFIG", "")];
    assert_eq!(effective("http.port", &[], &none), "http.port = 8080  # default");
}

#[test]
fn lists_in_the_environment_are_toml() {
    let variables = [
        ("GAME_REALTIME__ETCD__ENDPOINTS", r#"["http://a:2379", 'http://b:2379']"#),
        ("GAME_REALTIME__NAMESPACES__GUEST__ALLOW", "[]"),
    ];
    assert_eq!(
        effective("etcd.endpoints", &[], &variables),
        r#"etcd.endpoints = ["http://a:2379", "http://b:2379"]  # GAME_REALTIME__ETCD__ENDPOINTS"#,
    );
    assert_eq!(
        effective("namespaces.guest.allow", &[], &variables),
        "namespaces.guest.allow = []  # GAME_REALTIME__NAMESPACES__GUEST__ALLOW",
    );
}

#[test]
fn every_key_without_a_default_can_be_set() {
    let key = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../crates/identity-adapter/tests/keys/es256.public.pem",
    );
    let text = format!(
        "store.backend = \"etcd\"\netcd.endpoints = [\"https://etcd:2379\"]\n\
         [auth.jwt]\nalgorithm = \"ES256\"\npublic_key_file = {key:?}\n\
         issuer = \"game\"\naudience = \"gateway\"\n\
         [etcd.tls]\nca_file = {key:?}\ncert_file = {key:?}\nkey_file = {key:?}\n",
    );
    let file = ConfigFile::new(&text);
    let run = run(&["check-config", "--config", file.as_str()], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

#[test]
fn every_fault_of_every_place_is_one_line_with_its_key_and_its_place() {
    let file = r#"
        nonsense = 1
        "http.port" = 1
        [empty]
        [unknown.deep]
        key = 1
        [http]
        port = "8080"
        prot = 8080
        [etcd]
        lease_tll = "10s"
        lease_ttl = 10
        tls = "yes"
        [limits]
        inbox_events = 1.5
        payload_bytes = 65536
        send_buffer_bytes = "1MB"
    "#;
    let variables = [
        ("GAME_REALTIME__ADMIN__PORT", "many"),
        ("GAME_REALTIME__LOG__COLOUR", "red"),
        ("GAME_REALTIME__HTTP__ALLOWED_ORIGINS", "a,b"),
    ];
    assert_eq!(
        faults(file, &variables),
        [
            "admin.port: must be an integer (environment variable GAME_REALTIME__ADMIN__PORT)",
            "auth.jwt.secret: missing, algorithm HS256 needs it \
             (set neither in a file nor as GAME_REALTIME__AUTH__JWT__SECRET)",
            "empty: unknown key (file FILE)",
            "etcd.lease_tll: unknown key (file FILE)",
            "etcd.lease_ttl: must be a string, in quotes (file FILE)",
            "etcd.tls: is a section, its keys take values (file FILE)",
            r#"http.allowed_origins: must be a list of strings such as ["a", "b"] (environment variable GAME_REALTIME__HTTP__ALLOWED_ORIGINS)"#,
            "http.port: must be an integer (file FILE)",
            "http.port: unknown key (file FILE)",
            "http.prot: unknown key (file FILE)",
            "limits.inbox_events: must be an integer (file FILE)",
            r#"limits.payload_bytes: must be a size in quotes, with a binary unit, such as "512MiB" (file FILE)"#,
            r#"limits.send_buffer_bytes: "1MB" has a decimal unit: use MiB (file FILE)"#,
            "log.colour: unknown key (environment variable GAME_REALTIME__LOG__COLOUR)",
            "nonsense: unknown key (file FILE)",
            "unknown.deep.key: unknown key (file FILE)",
        ],
    );
}

#[test]
fn a_key_set_that_cannot_be_used_stops_the_start_with_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let file = ConfigFile::new(&format!(
        "[auth.jwt]\nalgorithm = \"ES256\"\njwks_file = {:?}\n",
        path.to_str().unwrap(),
    ));
    for (text, reason) in [
        (None, "cannot read JWKS: No such file or directory (os error 2)"),
        (Some(""), "JWKS is not a JSON Web Key Set"),
        (
            Some(r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#),
            "JWKS holds no key that can check ES256 signatures: 1 keys, none with fitting kty, \
             crv, alg, use and key_ops (and at least 2048 bits, if RSA)",
        ),
    ] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        for command in ["check-config", "serve"] {
            let run = run(&[command, "--config", file.as_str()], &[]);
            assert_eq!(run.code, Some(2), "{command}: {}", run.stderr);
            assert_eq!(
                run.stderr.replace(path.to_str().unwrap(), "JWKS"),
                format!("auth.jwt.jwks_file: {reason} (file {})\n", file.as_str()),
            );
        }
    }
}

#[test]
fn secrets_are_never_printed() {
    let file = ConfigFile::new(&format!(
        "[auth.jwt]\nsecret = {SECRET:?}\n[etcd]\nusername = \"game\"\npassword = {SECRET:?}\n\
         [admin]\napi_token = \"{SECRET}-and-more-of-it\"\n",
    ));
    let good = run(&["print-config", "--config", file.as_str()], &[]);
    assert_eq!(good.code, Some(0), "{}", good.stderr);
    for key in ["admin.api_token", "auth.jwt.secret", "etcd.password"] {
        let line = format!("{key} = \"[redacted]\"  # {}", file.as_str());
        assert!(good.stdout.lines().any(|each| each == line), "{line}\n{}", good.stdout);
    }

    let bad = ConfigFile::new(&format!(
        "[auth.jwt]\nalgorithm = \"RS256\"\nsecert = {SECRET:?}\nsecret = [{SECRET:?}]\n\
         [admin]\napi_token = \"hunter2\"\n\
         [etcd]\npassword = 2222222222\nendpoints = [\"http://root:{SECRET}@etcd\"]\n",
    ));
    let password = ("GAME_REALTIME__ETCD__PASSWROD", SECRET);
    for command in ["check-config", "print-config", "serve"] {
        let bad = run(&[command, "--config", bad.as_str()], &[password]);
        assert_eq!(bad.code, Some(2));
        for text in [&good.stdout, &bad.stdout, &bad.stderr] {
            assert!(!text.contains("hunter2") && !text.contains("2222222222"), "{text}");
        }
        assert!(bad.stderr.contains("auth.jwt.secert: unknown key"), "{}", bad.stderr);
        assert!(bad.stderr.contains("admin.api_token: must have at least 32"), "{}", bad.stderr);
        assert!(bad.stderr.contains("etcd.password: must be a string"), "{}", bad.stderr);
    }
}

#[test]
fn the_development_secret_is_refused_unless_nobody_else_can_connect() {
    let dev = ["check-config", "--config", "config/dev.toml"];
    for host in ["127.0.0.1", "127.1.2.3", "::1"] {
        let run = run(&dev, &[("GAME_REALTIME__HTTP__HOST", host)]);
        assert_eq!(run.code, Some(0), "{host}: {}", run.stderr);
    }
    for host in ["0.0.0.0", "::", "10.0.0.1"] {
        let run = run(&dev, &[("GAME_REALTIME__HTTP__HOST", host)]);
        assert_eq!(run.code, Some(2), "{host}");
        assert_eq!(
            run.stderr,
            format!(
                "auth.jwt.secret: is the public development secret, which guards nothing: only \
                 allowed while http.host is a loopback address, not {host} \
                 (file config/dev.toml)\n",
            ),
        );
    }
    let secret = [("GAME_REALTIME__AUTH__JWT__SECRET", "game-realtime-development-secret")];
    assert_eq!(run(&["check-config"], &secret).code, Some(2));
}

#[test]
fn a_print_of_what_cannot_be_used_says_where_it_comes_from_and_fails() {
    let run = run(&["print-config"], &[("GAME_REALTIME__SHUTDOWN__GRACE", "soon")]);
    assert_eq!(run.code, Some(2));
    let line = r#"shutdown.grace = "soon"  # GAME_REALTIME__SHUTDOWN__GRACE"#;
    assert!(run.stdout.lines().any(|each| each == line), "{}", run.stdout);
    assert!(run.stderr.contains("shutdown.grace: \"soon\" is not a duration"), "{}", run.stderr);
}
