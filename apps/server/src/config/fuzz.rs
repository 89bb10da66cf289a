//! Configuration that is nearly right: every fault in one line, and no secret in any of them.

use game_realtime_fuzz::{
    Broken, BrokenText, below,
    bolero::{Driver, ValueGenerator},
    fuzz,
};

use super::{load::load_from, toml};

/// Nothing else looks like it.
const SECRET: &str = "zanzibarquux-zanzibarquux-zanzibarquux";

const FILES: BrokenText = Broken::text(
    &[
        "[auth.jwt]\nsecret = \"zanzibarquux-zanzibarquux-zanzibarquux\"\n",
        "http.port = 8080\nhttp.allowed_origins = [\"http://a\"]\n[etcd]\npassword = 'zanzibarquux'\n",
        "[limits.rates]\nconnection = { per_second = 1, burst = 2 }\n",
    ],
    &[
        "[",
        "]",
        "=",
        "\"",
        "'",
        "\"\"\"",
        "\n",
        ".",
        "{",
        "}",
        ",",
        "#",
        "\\",
        "\\u",
        "1e999",
        "1979-05-27",
        "é",
        "\u{0}",
    ],
);

#[test]
fn a_file_is_read_or_its_fault_is_told_in_one_line_without_its_text() {
    fuzz!(FILES, |text: &String| match toml::read(text) {
        Ok(_) => true,
        Err(message) => {
            // Of values nothing is told; of keys it is told which comes twice, whatever it is called.
            let names_key = message.contains("duplicate key");
            assert!(names_key || !message.contains("zanzibar"), "{message}");
            assert!(message.lines().count() == 1, "{message:?}");
            false
        }
    });
}

const KEYS: &[&str] = &[
    "HTTP__PORT",
    "HTTP__HOST",
    "HTTP__ALLOWED_ORIGINS",
    "HTTP__TRUSTED_PROXIES",
    "HTTP__BASE_PATH",
    "SHUTDOWN__GRACE",
    "LIMITS__PAYLOAD_BYTES",
    "LIMITS__RATES__CONNECTION__BURST",
    "LOG__LEVEL",
    "ETCD__ENDPOINTS",
    "ETCD__LEASE_TTL",
    "EVENTS__RETENTION",
    "AUTH__MODE",
    "AUTH__JWT__ISSUER",
    "NAMESPACES__GUEST__ALLOW",
    "EMBEDDED__PATH",
    "STORE__BACKEND",
    "HTTP",
    "NOWHERE__AT__ALL",
];
const VALUES: BrokenText = Broken::text(
    &[
        "8080",
        "127.0.0.1",
        "[\"http://a:1\"]",
        "5s",
        "info,hyper=debug",
        "[\"10.0.0.0/8\"]",
        "/core/game",
        "etcd",
        "true",
        "64KiB",
    ],
    &[
        "-",
        "0",
        "9999999999999999999999",
        "1e9",
        "\n",
        "\"",
        "[",
        "]",
        ",",
        "{",
        "}",
        "=",
        "y",
        "ms",
        "é",
        "\u{1}",
        "#",
        "http://u:p@h",
    ],
);

struct Variables;

impl ValueGenerator for Variables {
    type Output = Vec<(usize, String)>;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Self::Output> {
        let one = |driver: &mut D| Some((below(driver, KEYS.len())?, VALUES.generate(driver)?));
        (0..below(driver, 4)?).map(|_| one(driver)).collect()
    }
}

#[test]
fn variables_are_taken_or_their_faults_are_told_in_one_line_each() {
    fuzz!(
        Variables,
        |chosen: &Vec<(usize, String)>| {
            let secret = ("GAME_REALTIME__AUTH__JWT__SECRET".to_owned(), SECRET.to_owned());
            let variables = chosen
                .iter()
                .map(|(key, value)| (format!("GAME_REALTIME__{}", KEYS[*key]), value.clone()))
                .chain([secret]);
            let loaded =
                load_from(None, variables.map(|(name, value)| (name.into(), value.into())));
            let (settings, faults) = match &loaded {
                Ok(loaded) => (loaded.settings.to_string(), &[][..]),
                Err(rejected) => (rejected.settings.to_string(), rejected.faults.as_slice()),
            };
            assert!(!settings.contains("zanzibar"), "{settings}");
            assert!(loaded.is_ok() || !faults.is_empty());
            for fault in faults.iter().map(ToString::to_string) {
                assert_eq!(fault.lines().count(), 1, "{fault:?}");
                assert!(!fault.contains("zanzibar"), "{fault}");
            }
            loaded.is_ok()
        },
        100
    );
}
