//! Where the server listens and what it calls its own.

use game_realtime_socketio_adapter::HttpConfig;
use http::{Uri, uri::PathAndQuery};

use super::Checks;

pub(super) fn check(
    http: &HttpConfig,
    admin: &game_realtime_admin_adapter::Config,
    checks: &mut Checks<'_>,
) {
    let base_path = "http.base_path";
    checks.require(base_path, http.base_path.starts_with('/'), "must begin with /");
    checks.require(base_path, !http.base_path.ends_with('/'), "must not end with /");
    checks.require(
        base_path,
        http.base_path.chars().all(is_path_character) && !http.base_path.contains("//"),
        "must be a plain path, without query, fragment or escapes",
    );

    let same_host =
        http.host == admin.host || http.host.is_unspecified() || admin.host.is_unspecified();
    checks.require(
        "admin.port",
        !same_host || http.port == 0 || http.port != admin.port,
        "must differ from http.port",
    );

    for origin in &http.allowed_origins {
        checks.require(
            "http.allowed_origins",
            origin == "*" || is_origin(origin),
            format_args!(
                "{origin:?} is neither \"*\" nor an origin such as \"https://example.org\""
            ),
        );
    }
}

/// Those of RFC 3986 that need no escape and mean nothing special in a path.
fn is_path_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "/-._~".contains(character)
}

/// What a browser sends: scheme, host and perhaps a port, nothing after it.
fn is_origin(origin: &str) -> bool {
    !origin.ends_with('/')
        && origin.parse::<Uri>().is_ok_and(|uri| {
            uri.scheme().is_some()
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && uri.path_and_query().is_none_or(|it| *it == PathAndQuery::from_static("/"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_nothing_behind_them() {
        for valid in ["http://localhost:3000", "https://example.org", "capacitor://localhost"] {
            assert!(is_origin(valid), "{valid}");
        }
        for invalid in [
            "",
            "null",
            "example.org",
            "https://",
            "https://example.org/",
            "https://example.org/game",
            "https://example.org?x",
            "https://me@example.org",
            "https://*.example.org/",
        ] {
            assert!(!is_origin(invalid), "{invalid}");
        }
    }
}
