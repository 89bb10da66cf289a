//! Secrets that are not what their author means, or that everybody knows.

use std::net::IpAddr;

use game_realtime_identity_adapter::DEVELOPMENT_SECRET;
use secrecy::{ExposeSecret as _, SecretString};

use super::{super::keys::Keys, Checks, Config};

/// Kept in the same file as a password, as often as not.
const USERNAME: &str = "etcd.username";

pub(super) fn check(config: &Config, checks: &mut Checks<'_>) {
    for (key, setting) in checks.settings.iter() {
        let value = setting.value.as_str().unwrap_or_default();
        if !Keys::is_secret(key) && key != USERNAME {
            continue;
        }
        if is_blank(value) {
            checks.require(key, false, "is nothing but white space");
        } else {
            checks.require(
                key,
                unpadded(value) == value,
                "begins or ends with white space or a control character, such as the newline at the \
                 end of a file: take it off",
            );
        }
    }
    for (key, secret, host_key, host) in [
        ("auth.jwt.secret", &config.auth.jwt.secret, "http.host", config.http.host),
        ("admin.api_token", &config.admin.api_token, "admin.host", config.admin.host),
    ] {
        not_public(key, secret.as_ref(), host_key, host, checks);
    }
}

/// Whether a secret is already refused for its white space.
pub(super) fn is_padded(secret: Option<&SecretString>) -> bool {
    secret.is_some_and(|secret| unpadded(secret.expose_secret()) != secret.expose_secret())
}

fn is_blank(value: &str) -> bool {
    !value.is_empty() && unpadded(value).is_empty()
}

/// Without what nobody sees at its ends. HMAC fills keys up with zeros, so those at the end of a secret
/// make no other key of it.
fn unpadded(value: &str) -> &str {
    value.trim_matches(|it: char| {
        it.is_whitespace() || it.is_control() || matches!(it, '\u{200b}' | '\u{feff}')
    })
}

fn not_public(
    key: &str,
    secret: Option<&SecretString>,
    host_key: &str,
    host: IpAddr,
    checks: &mut Checks<'_>,
) {
    let is_public = secret.is_some_and(|secret| {
        unpadded(secret.expose_secret()).eq_ignore_ascii_case(DEVELOPMENT_SECRET)
    });
    checks.require(
        key,
        !is_public || host.is_loopback(),
        format_args!(
            "is the public development secret, which guards nothing: only allowed while {host_key} \
             is a loopback address, not {host}",
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::super::super::load::load_from;
    use super::*;

    const GOOD: &str = "a good secret, with 32 characters";

    fn faults(variables: &[(&str, &str)]) -> Vec<String> {
        let all = [("AUTH__JWT__SECRET", GOOD)].into_iter().chain(variables.iter().copied());
        let all = all.map(|(name, value)| (format!("GAME_REALTIME__{name}").into(), value.into()));
        let rejected = load_from(None, all).err();
        let faults = rejected.map(|rejected| rejected.faults).unwrap_or_default();
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_secret_with_white_space_at_an_end_is_refused_with_its_key_and_its_source() {
        let token = "0123456789abcdef0123456789abcdef";
        for (name, key, good) in [
            ("AUTH__JWT__SECRET", "auth.jwt.secret", GOOD),
            ("ADMIN__API_TOKEN", "admin.api_token", token),
            ("ETCD__PASSWORD", "etcd.password", GOOD),
            ("ETCD__USERNAME", "etcd.username", "game"),
        ] {
            let with = |value: &str| {
                let pair = [("ETCD__USERNAME", "game"), ("ETCD__PASSWORD", GOOD), (name, value)];
                let whole: &[_] = if key.starts_with("etcd") { &pair } else { &pair[2..] };
                faults(whole)
            };
            assert_eq!(with(good), [""; 0], "{key}");
            for space in ["\n", "\r\n", " ", "\t", "\u{a0}", "\u{feff}", "\u{200b}"] {
                for value in [format!("{good}{space}"), format!("{space}{good}")] {
                    let [fault] = &*with(&value) else {
                        panic!("{key} {value:?} {:?}", with(&value))
                    };
                    let expected = format!("{key}: begins or ends with white space");
                    assert!(fault.starts_with(&expected), "{fault}");
                    assert!(
                        fault.ends_with(&format!("variable GAME_REALTIME__{name})")),
                        "{fault}"
                    );
                    assert!(!fault.contains(good) || key == USERNAME, "{fault}");
                }
            }
            let [fault] = &*with(&" \t".repeat(20)) else { panic!("{key}") };
            assert!(fault.starts_with(&format!("{key}: is nothing but white space (")), "{fault}");
        }
        assert_eq!(
            faults(&[("AUTH__JWT__SECRET", "inner white\nspace is of the secret's own")]),
            [""; 0]
        );
    }

    #[test]
    fn the_development_secret_in_any_spelling_guards_nothing_that_others_reach() {
        let public = "is the public development secret";
        let upper = DEVELOPMENT_SECRET.to_uppercase();
        for spelling in [DEVELOPMENT_SECRET, &upper, &format!("{DEVELOPMENT_SECRET}\n")] {
            for host in ["0.0.0.0", "::", "10.0.0.1", "::ffff:127.0.0.1"] {
                let found = faults(&[("HTTP__HOST", host), ("AUTH__JWT__SECRET", spelling)]);
                let refused = format!("auth.jwt.secret: {public}");
                assert!(found.iter().any(|it| it.starts_with(&refused)), "{host} {found:?}");
                let found = faults(&[("ADMIN__HOST", host), ("ADMIN__API_TOKEN", spelling)]);
                let refused = format!("admin.api_token: {public}");
                assert!(found.iter().any(|it| it.starts_with(&refused)), "{host} {found:?}");
            }
        }
        for host in ["127.0.0.1", "127.1.2.3", "::1"] {
            let secret = ("AUTH__JWT__SECRET", DEVELOPMENT_SECRET);
            assert_eq!(faults(&[("HTTP__HOST", host), secret]), [""; 0], "{host}");
        }
    }
}
