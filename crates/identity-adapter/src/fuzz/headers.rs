//! The header that a proxy sets, and everybody else might.

use game_realtime_application::ports::Credentials;
use game_realtime_domain::UserId;
use game_realtime_fuzz::{
    Broken, BrokenText, below,
    bolero::{Driver, ValueGenerator},
    fuzz,
};

use crate::{TrustedHeaderConfig, trusted_header::TrustedHeaderVerifier};

const VALUES: BrokenText = Broken::text(
    &["alice", "alice,bob", "é\u{1F3AE}", ""],
    &[",", " ", "\t", "\u{0}", "alice", "\u{7f}", "aaaaaaaaaaaaaaaaaaaa"],
);
const NAMES: [&str; 3] = ["x-user-id", "x-user", "authorization"];
const PEERS: [&str; 5] = ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "127.0.0.1", "::1"];

struct Requests;

impl ValueGenerator for Requests {
    type Output = (Option<usize>, Vec<(usize, String)>);

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Self::Output> {
        let peer = below(driver, PEERS.len() + 1)?.checked_sub(1);
        let header = |driver: &mut D| {
            let name = below(driver, 2 * NAMES.len())?.saturating_sub(NAMES.len());
            Some((name, VALUES.generate(driver)?))
        };
        let headers = (0..below(driver, 4)?).map(|_| header(driver)).collect::<Option<_>>()?;
        Some((peer, headers))
    }
}

#[test]
fn one_value_from_a_proxy_is_believed_and_nothing_else() {
    let verifier = TrustedHeaderVerifier::new(&TrustedHeaderConfig {
        name: "X-User-ID".to_owned(),
        proxies: vec!["10.0.0.0/8".to_owned(), "fd00::/8".to_owned()],
    })
    .ok()
    .unwrap();
    fuzz!(Requests, |(peer, headers): &(Option<usize>, Vec<(usize, String)>)| {
        let credentials = Credentials {
            token: Some("alice".to_owned()),
            headers: headers
                .iter()
                .map(|(name, value)| (NAMES[*name].to_owned(), value.clone().into_bytes()))
                .collect(),
            peer: peer.map(|peer| PEERS[peer].parse().unwrap()),
        };
        let values: Vec<_> =
            headers.iter().filter(|(name, _)| *name == 0).map(|(_, it)| it).collect();
        let believed = match (peer, values.as_slice()) {
            (Some(0..3), [only]) if !only.contains(',') => UserId::parse(only.as_str()).ok(),
            _ => None,
        };
        let identity = verifier.identify(&credentials).ok();
        assert_eq!(identity.map(|it| it.user_id), believed, "{credentials:?}");
        believed.is_some()
    });
}
