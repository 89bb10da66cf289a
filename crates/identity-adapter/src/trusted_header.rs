//! Identity by a header that a proxy sets after it has identified the player itself.

use std::net::IpAddr;

use async_trait::async_trait;
use game_realtime_application::ports::{
    Credentials, Identity, IdentityVerifier, RefusedIdentity, VerifyError,
};
use game_realtime_domain::{Timestamp, UserId};
use ipnet::IpNet;

use crate::{ConfigFault, Problem, TrustedHeaderConfig};

/// Believes one header, from the configured proxies only: anybody else could write it as well.
pub(crate) struct TrustedHeaderVerifier {
    headers: Vec<String>,
    proxies: Vec<IpNet>,
}

impl TrustedHeaderVerifier {
    /// A verifier that believes what `config` says.
    ///
    /// # Errors
    /// Everything that is wrong with the section.
    pub(crate) fn new(config: &TrustedHeaderConfig) -> Result<Self, Vec<ConfigFault>> {
        let mut faults = Vec::new();
        if !is_header_name(&config.name) {
            faults.push(ConfigFault::new("auth.trusted_header.name", Problem::NotAHeaderName));
        }
        let mut proxies = Vec::with_capacity(config.proxies.len());
        for cidr in &config.proxies {
            match cidr.parse() {
                Ok(network) => proxies.push(network),
                Err(_) => faults.push(ConfigFault::new(
                    "auth.trusted_header.proxies",
                    Problem::NotACidr(cidr.clone()),
                )),
            }
        }
        if faults.is_empty() {
            Ok(Self { headers: vec![config.name.to_ascii_lowercase()], proxies })
        } else {
            Err(faults)
        }
    }

    /// A dual-stack socket shows IPv4 peers as IPv6 addresses; the configuration means both.
    fn believes(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.proxies.iter().any(|network| network.contains(&peer))
    }

    pub(crate) fn identify(&self, credentials: &Credentials) -> Result<Identity, RefusedIdentity> {
        if !credentials.peer.is_some_and(|peer| self.believes(peer)) {
            return Err(RefusedIdentity::Missing);
        }
        let mut values = credentials
            .headers
            .iter()
            .filter(|(name, _)| self.headers.contains(name))
            .map(|(_, value)| value);
        let value = values.next().ok_or(RefusedIdentity::Missing)?;
        // Even an equal second value: a proxy that adds its header to the client's instead of
        // replacing it must not be believed. A comma joins two values as well as a second line
        // does (RFC 9110, section 5.3), and proxies do join them.
        if values.next().is_some() || value.contains(&b',') {
            return Err(RefusedIdentity::Contradictory);
        }
        if value.is_empty() {
            return Err(RefusedIdentity::Missing);
        }
        // Decoded otherwise, two players in another encoding would become one.
        let text = str::from_utf8(value).map_err(|_| RefusedIdentity::Invalid)?;
        let user_id = UserId::parse(text).map_err(|_| RefusedIdentity::Invalid)?;
        Ok(Identity { user_id, expires_at: None })
    }
}

#[async_trait]
impl IdentityVerifier for TrustedHeaderVerifier {
    fn headers(&self) -> &[String] {
        &self.headers
    }

    async fn verify(
        &self,
        credentials: &Credentials,
        _now: Timestamp,
    ) -> Result<Identity, VerifyError> {
        self.identify(credentials).map_err(VerifyError::Refused)
    }
}

/// A token of RFC 9110, section 5.6.2.
fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifier() -> TrustedHeaderVerifier {
        TrustedHeaderVerifier::new(&TrustedHeaderConfig {
            name: "X-User-ID".to_owned(),
            proxies: vec!["10.0.0.0/8".to_owned(), "fd00::/8".to_owned()],
        })
        .unwrap()
    }

    fn from(peer: Option<&str>, values: &[impl AsRef<[u8]>]) -> Credentials {
        Credentials {
            token: None,
            headers: values
                .iter()
                .map(|value| ("x-user-id".to_owned(), value.as_ref().to_vec()))
                .collect(),
            peer: peer.map(|peer| peer.parse().unwrap()),
        }
    }

    #[test]
    fn the_header_is_believed_from_a_configured_proxy_and_never_expires() {
        for peer in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"] {
            let identity = verifier().identify(&from(Some(peer), &["alice"])).unwrap();
            assert_eq!(identity.user_id.as_str(), "alice", "{peer}");
            assert_eq!(identity.expires_at, None, "{peer}");
        }
        assert_eq!(verifier().headers(), ["x-user-id"]);
    }

    #[test]
    fn the_header_does_not_count_from_anywhere_else() {
        for peer in [None, Some("11.1.2.3"), Some("127.0.0.1"), Some("::1")] {
            let refused = verifier().identify(&from(peer, &["alice"]));
            assert_eq!(refused, Err(RefusedIdentity::Missing), "{peer:?}");
        }
        let nobody = TrustedHeaderVerifier { headers: vec!["x-user-id".into()], proxies: vec![] };
        let refused = nobody.identify(&from(Some("10.1.2.3"), &["alice"]));
        assert_eq!(refused, Err(RefusedIdentity::Missing));
    }

    #[test]
    fn exactly_one_value_that_can_be_a_user_id_is_needed() {
        for (values, refused) in [
            (&[][..], RefusedIdentity::Missing),
            (&[""][..], RefusedIdentity::Missing),
            (&["alice", "alice"][..], RefusedIdentity::Contradictory),
            (&["alice", "bob"][..], RefusedIdentity::Contradictory),
            (&["alice, bob"][..], RefusedIdentity::Contradictory),
            (&["alice,"][..], RefusedIdentity::Contradictory),
            (&["al\tice"][..], RefusedIdentity::Invalid),
        ] {
            let result = verifier().identify(&from(Some("10.1.2.3"), values));
            assert_eq!(result, Err(refused), "{values:?}");
        }
    }

    #[test]
    fn a_value_that_is_no_utf_8_names_nobody() {
        for value in
            [&b"Jos\xe9"[..], b"Jos\xe8", b"\xff", b"\xc0\xafalice", b"\xed\xa0\x80", b"alice\xc3"]
        {
            let result = verifier().identify(&from(Some("10.1.2.3"), &[value]));
            assert_eq!(result, Err(RefusedIdentity::Invalid), "{value:?}");
            let two = verifier().identify(&from(Some("10.1.2.3"), &[b"alice", value]));
            assert_eq!(two, Err(RefusedIdentity::Contradictory), "{value:?}");
        }
    }

    #[test]
    fn users_are_the_same_only_character_for_character() {
        let ids = ["José", "Jose\u{301}", "JOSÉ", "\u{a0}José", "José\u{200b}", "Jos\u{fffd}"];
        for id in ids {
            let identity = verifier().identify(&from(Some("10.1.2.3"), &[id])).unwrap();
            assert_eq!(identity.user_id.as_str(), id);
        }
    }

    #[test]
    fn every_bad_value_of_the_section_is_a_fault_of_its_key() {
        let faults = TrustedHeaderVerifier::new(&TrustedHeaderConfig {
            name: "X User".to_owned(),
            proxies: vec!["10.0.0.1".to_owned(), "10.0.0.0/8".to_owned(), "x".to_owned()],
        })
        .err()
        .unwrap();
        let keys: Vec<_> = faults.iter().map(|fault| fault.key).collect();
        assert_eq!(
            keys,
            [
                "auth.trusted_header.name",
                "auth.trusted_header.proxies",
                "auth.trusted_header.proxies",
            ],
        );
    }
}
