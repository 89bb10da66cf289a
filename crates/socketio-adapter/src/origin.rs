//! Which web pages may use the gateway: the Origin check, and what CORS asks for.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, HOST, ORIGIN, VARY,
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

    /// Answers a preflight. A page of an allowed origin may send whatever headers it asks for, as with the
    /// official server: those of tracing, for example.
    pub(crate) fn apply_preflight<B>(&self, request: &HeaderMap, response: &mut Response<B>) {
        self.apply(response);
        let headers = response.headers_mut();
        headers
            .insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
        let asked = match self {
            Self::None | Self::Refused => None,
            Self::Allowed(_) => asked_headers(request),
        };
        let usual = HeaderValue::from_static("Authorization, Content-Type");
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.unwrap_or(usual));
        headers.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}

/// The names of the headers that a preflight asks for. `None` if there are none, or some are no names.
fn asked_headers(request: &HeaderMap) -> Option<HeaderValue> {
    let mut names = Vec::new();
    for value in request.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
        for name in value.to_str().ok()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            names.push(name.parse::<HeaderName>().ok()?);
        }
    }
    let names: Vec<_> = names.iter().map(HeaderName::as_str).collect();
    HeaderValue::from_str(&names.join(", ")).ok().filter(|names| !names.is_empty())
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
    fn a_page_may_send_the_headers_it_asks_for_if_they_are_headers() {
        let usual = "Authorization, Content-Type";
        for (asked, allowed) in [
            (&["traceparent"][..], "traceparent"),
            (&["Authorization,X-Game-Build , baggage"], "authorization, x-game-build, baggage"),
            (&["a", "b,c"], "a, b, c"),
            (&[""], usual),
            (&[], usual),
            (&["a b"], usual),
            (&["a", "b:c"], usual),
            (&["*"], "*"),
        ] {
            let mut request = HeaderMap::new();
            for asked in asked {
                request.append(ACCESS_CONTROL_REQUEST_HEADERS, asked.parse().unwrap());
            }
            let origin = Origin::Allowed(HeaderValue::from_static("https://play.example"));
            let mut response = Response::new(());
            origin.apply_preflight(&request, &mut response);
            assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_HEADERS], allowed, "{asked:?}");
            let vary: Vec<_> = response.headers().get_all(VARY).iter().collect();
            assert_eq!(vary, ["Origin", "Access-Control-Request-Headers"]);
        }
    }

    #[test]
    fn a_request_without_origin_is_no_page_s() {
        assert_eq!(OriginPolicy::new(&[]).check(&HeaderMap::new()), Origin::None);
    }
}
