//! Where the events and the registry are kept.

use std::{fs::File, path::Path};

use http::Uri;
use secrecy::ExposeSecret as _;

use super::{super::Backend, Checks};
use crate::config::Config;

pub(super) fn check(config: &Config, checks: &mut Checks<'_>) {
    checks.require("embedded.path", !config.embedded.path.is_empty(), "must not be empty");

    let etcd = &config.etcd;
    let prefix = "etcd.prefix";
    checks.require(prefix, etcd.prefix.starts_with('/'), "must begin with /");
    checks.require(prefix, !etcd.prefix.ends_with('/'), "must not end with /");

    let named = !etcd.username.is_empty();
    let with_password = !etcd.password.expose_secret().is_empty();
    checks.require("etcd.username", named || !with_password, "empty, but etcd.password is set");
    checks.require("etcd.password", with_password || !named, "empty, but etcd.username is set");

    endpoints(&etcd.endpoints, checks);
    tls(config, checks);
}

fn endpoints(endpoints: &[String], checks: &mut Checks<'_>) {
    let key = "etcd.endpoints";
    checks.require(key, !endpoints.is_empty(), "must name at least one member");
    for (number, endpoint) in (1..).zip(endpoints) {
        let uri = endpoint.parse::<Uri>().ok();
        let authority = uri.as_ref().and_then(Uri::authority);
        // Not shown in either message: it may have a password in it.
        checks.require(
            key,
            !endpoint.contains('@'),
            format_args!(
                "number {number} must not contain a user: set etcd.username and .password"
            ),
        );
        checks.require(
            key,
            authority.is_some() && uri.as_ref().is_some_and(is_web),
            format_args!("number {number} is not a URL such as \"http://localhost:2379\""),
        );
    }
    let secure = endpoints.iter().filter(|endpoint| is_secure(endpoint)).count();
    checks.require(key, secure == 0 || secure == endpoints.len(), "must be all http or all https");
}

fn tls(config: &Config, checks: &mut Checks<'_>) {
    let tls = &config.etcd.tls;
    let files = [
        ("etcd.tls.ca_file", &tls.ca_file),
        ("etcd.tls.cert_file", &tls.cert_file),
        ("etcd.tls.key_file", &tls.key_file),
    ];
    let secure = config.etcd.endpoints.iter().any(|endpoint| is_secure(endpoint));
    for (key, path) in files {
        let Some(path) = path else { continue };
        checks.require(key, secure, "needs etcd.endpoints with https");
        if config.store.backend == Backend::Etcd
            && let Err(error) = readable(path)
        {
            checks.require(key, false, format_args!("cannot read {}: {error}", path.display()));
        }
    }
    let pair = (tls.cert_file.is_some(), tls.key_file.is_some());
    checks.require(
        "etcd.tls.key_file",
        pair != (true, false),
        "missing, but etcd.tls.cert_file is set",
    );
    checks.require(
        "etcd.tls.cert_file",
        pair != (false, true),
        "missing, but etcd.tls.key_file is set",
    );
}

fn readable(path: &Path) -> std::io::Result<()> {
    if File::open(path)?.metadata()?.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    Ok(())
}

fn is_web(uri: &Uri) -> bool {
    matches!(uri.scheme_str(), Some("http" | "https"))
}

fn is_secure(endpoint: &str) -> bool {
    endpoint.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}
