//! Headers that say where a request comes from: through which proxies, from which page.

use std::net::{IpAddr, SocketAddr};

use game_realtime_fuzz::{
    Broken, BrokenText, below,
    bolero::{Driver, ValueGenerator},
    fuzz,
};
use http::{
    HeaderMap, HeaderValue,
    header::{HOST, ORIGIN},
};

use crate::{
    client_address::{TrustedProxies, counted},
    origin::{Origin, OriginPolicy},
};

const FORWARDED: Broken = Broken::bytes(
    &[
        "203.0.113.9, 10.0.0.2",
        "10.0.0.3",
        "198.51.100.7:4711",
        "[2001:db8::7]:1",
        "::ffff:10.0.0.4",
        "unknown",
    ],
    &[",", ", ", " ", "10.0.0.9", "192.0.2.1", "fd00::9", "%", "[", "]", ":80", "\t", "é", "1.2.3"],
);

/// The lines of `X-Forwarded-For`, of which those on the left are the client's to write.
struct Lines;

impl ValueGenerator for Lines {
    type Output = (bool, Vec<Vec<u8>>);

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Self::Output> {
        let lines = (0..below(driver, 4)?).map(|_| FORWARDED.generate(driver));
        let lines = lines.collect::<Option<Vec<_>>>()?;
        Some((driver.produce()?, lines))
    }
}

fn headers(lines: &[Vec<u8>]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        headers.append("x-forwarded-for", value);
    }
    headers
}

#[test]
fn a_client_cannot_choose_whom_it_counts_for() {
    let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
    let proxies = TrustedProxies::new(networks.into());
    let trusted = |address: IpAddr| networks.iter().any(|network| network.contains(&address));
    fuzz!(Lines, |(through_proxy, lines): &(bool, Vec<Vec<u8>>)| {
        let peer: IpAddr = if *through_proxy { "10.0.0.1" } else { "192.0.2.200" }.parse().unwrap();
        let client = proxies.client(peer, &headers(lines));
        counted(client);
        if !*through_proxy {
            assert_eq!(client, peer, "nobody else speaks for it");
            return false;
        }
        assert_eq!(client, client.to_canonical());
        if trusted(client) {
            return false;
        }
        let text: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
        let named = text.iter().flat_map(|line| line.split(',')).any(|address| {
            let address = address.trim();
            let with_port = || Some(address.parse::<SocketAddr>().ok()?.ip());
            address.parse().ok().or_else(with_port).map(|it| it.to_canonical()) == Some(client)
        });
        assert!(named, "{client} {text:?}");
        // Whatever the client writes before what the proxies add.
        for written in [&b"192.0.2.66"[..], b"10.0.0.66", b"unknown", b""] {
            let mut more = vec![written.to_vec()];
            more.extend(lines.iter().cloned());
            assert_eq!(proxies.client(peer, &headers(&more)), client, "{more:?}");
        }
        true
    });
}

const ORIGINS: BrokenText = Broken::text(
    &[
        "http://game.example:8080",
        "https://game.example",
        "https://Play.example",
        "null",
        "http://game.example:80",
    ],
    &[
        "http://",
        "https://",
        ":443",
        ":80",
        "/",
        "@",
        "game.example",
        "evil.example",
        ".",
        "\u{0}",
        "é",
        "*",
    ],
);

struct Asked;

impl ValueGenerator for Asked {
    type Output = (String, String);

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Self::Output> {
        let host = ORIGINS.generate(driver)?;
        let host = host.split_once("://").map_or(host.as_str(), |(_, host)| host).to_owned();
        let origin = match below(driver, 3)? {
            0 => format!("http://{host}"),
            1 => format!("https://{host}"),
            _ => ORIGINS.generate(driver)?,
        };
        Some((origin, host))
    }
}

#[test]
fn a_page_is_the_own_one_or_a_listed_one() {
    let policy = OriginPolicy::new(&["https://play.example/".to_owned()]);
    fuzz!(Asked, |(origin, host): &(String, String)| {
        let (Ok(origin_value), Ok(host_value)) = (origin.parse(), host.parse()) else {
            return false;
        };
        let mut headers = HeaderMap::new();
        headers.insert::<_>(ORIGIN, origin_value);
        headers.insert::<_>(HOST, host_value);
        let readable = origin.bytes().all(|byte| (32..127).contains(&byte) || byte == b'\t');
        let lower = origin.to_ascii_lowercase();
        let default = |scheme: &str| if scheme == "http" { ":80" } else { ":443" };
        let own = lower.split_once("://").is_some_and(|(scheme, authority)| {
            let strip = |it: &str| it.strip_suffix(default(scheme)).unwrap_or(it).to_owned();
            ["http", "https"].contains(&scheme)
                && strip(authority) == strip(&host.to_ascii_lowercase())
                && host.is_ascii()
        });
        let allowed = readable && (own || lower == "https://play.example");
        match policy.check(&headers) {
            Origin::Allowed(value) => {
                assert!(allowed, "{origin:?} {host:?}");
                assert_eq!(value.as_bytes(), origin.as_bytes());
                true
            }
            Origin::Refused => {
                assert!(!allowed, "{origin:?} {host:?}");
                false
            }
            Origin::None => panic!("there is one"),
        }
    });
}
