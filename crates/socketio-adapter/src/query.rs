//! The query parameters of an Engine.IO request.

use http::Uri;
use percent_encoding::percent_decode_str;

use crate::{library::EngineProtocol, service::root};

/// What of a query counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// `None` if missing or not supported; the library answers that.
    pub(crate) protocol: Option<EngineProtocol>,
    pub(crate) websocket: bool,
    /// The Engine.IO session, if there is one already.
    pub(crate) session: Option<String>,
    pub(crate) cursor: Option<String>,
    /// The parameters that the library reads, as they came.
    lean: String,
}

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "EIO" => {
                    parsed.protocol = match value {
                        "3" => Some(EngineProtocol::V3),
                        "4" => Some(EngineProtocol::V4),
                        _ => None,
                    };
                }
                "transport" => parsed.websocket = value == "websocket",
                "sid" => parsed.session = Some(value.to_owned()),
                "b64" => {}
                "cursor" => {
                    parsed.cursor = Some(decode(value));
                    continue;
                }
                _ => continue,
            }
            if !parsed.lean.is_empty() {
                parsed.lean.push('&');
            }
            parsed.lean.push_str(pair);
        }
        parsed
    }

    /// A URI with the parameters that the library reads and no other: it is kept as long as the
    /// session lives.
    pub(crate) fn lean_uri(&self) -> Uri {
        format!("/?{}", self.lean).parse().unwrap_or_else(|_| root())
    }
}

/// Undoes percent-encoding (RFC 3986, section 2.1). What is no UTF-8 then is no cursor either.
fn decode(value: &str) -> String {
    percent_decode_str(value).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_sees_its_own_parameters_only() {
        let query = Query::parse("EIO=4&transport=polling&token=secret&t=x&cursor=e%3A1.2&sid=abc");
        assert_eq!(query.lean_uri(), "/?EIO=4&transport=polling&sid=abc");
        assert_eq!(query.cursor.as_deref(), Some("e:1.2"));
        assert_eq!(query.session.as_deref(), Some("abc"));
        assert_eq!(query.protocol, Some(EngineProtocol::V4));
        assert!(!query.websocket);
    }

    #[test]
    fn odd_percent_signs_stay() {
        for (encoded, decoded) in
            [("a%", "a%"), ("%4", "%4"), ("%zz", "%zz"), ("%+4", "%+4"), ("%41b", "Ab")]
        {
            assert_eq!(decode(encoded), decoded);
        }
    }
}
