//! Which web pages may use the gateway: the Origin check, and what CORS asks for.

use http::{
    HeaderMap, HeaderValue, Method, Response,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, HOST,
        ORIGIN, VARY,
    },
};

/// The origins that may connect.
pub(crate) struct OriginPolicy {
    any: bool,
    allowed: Vec<String>,
}

/// What a request's origin means for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// No web page sent it.
    None,
    /// The response may be read by this origin.
    Allowed(HeaderValue),
    /// The request must be refused.
    Refused,
}

impl OriginPolicy {
    pub(crate) fn new(allowed: &[String]) -> Self {
        let allowed: Vec<_> = allowed
            .iter()
            .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
            .collect();
        Self { any: allowed.iter().any(|origin| origin == "*"), allowed }
    }

    pub(crate) fn check(&self, headers: &HeaderMap) -> Origin {
        let Some(value) = headers.get(ORIGIN) else { return Origin::None };
        let Ok(origin) = value.to_str().map(str::to_ascii_lowercase) else {
            return Origin::Refused;
        };
        let same = || {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            host.is_some_and(|host| is_same(&origin, &host.to_ascii_lowercase()))
        };
        if self.any || self.allowed.contains(&origin) || same() {
            Origin::Allowed(value.clone())
        } else {
            Origin::Refused
        }
    }
}

/// Whether an origin is the host that was asked. The scheme is not compared: behind a load
/// balancer that speaks TLS to clients, the node cannot know its own.
fn is_same(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare =
        |authority: &str| authority.strip_suffix(default_port).unwrap_or(authority).to_owned();
    bare(authority) == bare(host)
}

impl Origin {
    /// Lets a page of an allowed origin read the response.
    pub(crate) fn apply<B>(&self, response: &mut Response<B>) {
        match self {
            Self::None | Self::Refused => {}
            Self::Allowed(origin) => {
                let headers = response.headers_mut();
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
                headers.append(VARY, HeaderValue::from_static("Origin"));
            }
        }
    }

    /// Answers a preflight.
    pub(crate) fn apply_preflight<B>(&self, response: &mut Response<B>) {
        self.apply(response);
        let headers = response.headers_mut();
        headers
            .insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("Authorization, Content-Type"),
        );
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}

/// The methods that the endpoints know.
pub(crate) fn is_known(method: &Method) -> bool {
    [Method::GET, Method::POST, Method::OPTIONS].contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allowed: &[&str], origin: &str, host: &str) -> bool {
        let policy =
            OriginPolicy::new(&allowed.iter().map(ToString::to_string).collect::<Vec<_>>());
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, origin.parse().unwrap());
        headers.insert(HOST, host.parse().unwrap());
        policy.check(&headers) != Origin::Refused
    }

    #[test]
    fn only_the_own_origin_is_allowed_by_default() {
        assert!(check(&[], "http://game.example:8080", "game.example:8080"));
        assert!(check(&[], "https://game.example", "game.example"));
        assert!(check(&[], "https://Game.example", "game.example:443"));
        for (origin, host) in [
            ("https://evil.example", "game.example"),
            ("https://game.example.evil.example", "game.example"),
            ("http://game.example:8081", "game.example:8080"),
            ("null", "game.example"),
            ("file://game.example", "game.example"),
        ] {
            assert!(!check(&[], origin, host), "{origin} {host}");
        }
    }

    #[test]
    fn listed_origins_and_the_star_are_allowed() {
        assert!(check(&["https://play.example"], "https://play.example", "game.example"));
        assert!(!check(&["https://play.example"], "http://play.example", "game.example"));
        assert!(check(&["*"], "null", "game.example"));
    }

    #[test]
    fn a_request_without_origin_is_no_page_s() {
        assert_eq!(OriginPolicy::new(&[]).check(&HeaderMap::new()), Origin::None);
    }
}
