//! The URI of a request: its path and its query.

use game_realtime_domain::Namespace;
use game_realtime_fuzz::{Broken, BrokenText, fuzz};
use percent_encoding::percent_decode_str;

use crate::{engine_session::WayIn, library::EngineProtocol, query::Query, service::way_in};

const QUERIES: BrokenText = Broken::text(
    &[
        "EIO=4&transport=polling&t=abc&cursor=e%3A1.2&sid=AAAAAAAAAAAAAAAA",
        "EIO=3&transport=websocket&cursor=%F0%9F%8E%AE&b64=1",
        "token=secret&EIO=4",
    ],
    &[
        "&",
        "=",
        "%",
        "%2",
        "%+4",
        "%zz",
        "%26",
        "+",
        "#",
        "?",
        " ",
        "é",
        "\u{0}",
        "EIO",
        "EIO=4",
        "EIO=3",
        "transport=websocket",
        "sid=",
        "cursor=",
        "token=",
        "&cursor=a",
        "&sid=b",
    ],
);

const PATHS: BrokenText = Broken::text(
    &["/base/private", "/base/guest/", "/socket.io/", "/socket.io"],
    &[
        "/",
        "//",
        "..",
        "/base",
        "private",
        "guest",
        "socket.io",
        "%2f",
        "?",
        ";",
        "é",
        "\u{0}",
        " ",
    ],
);

#[test]
fn a_query_is_its_last_values_and_the_library_sees_no_others() {
    fuzz!(QUERIES, |text: &String| {
        let query = Query::parse(text);
        let last = |name: &str| {
            let pairs = text.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.rev().find(|(other, _)| *other == name).map(|(_, value)| value)
        };
        assert_eq!(query.websocket, last("transport") == Some("websocket"));
        assert_eq!(query.session.as_deref(), last("sid"));
        let cursor = last("cursor").map(|value| percent_decode_str(value).decode_utf8_lossy());
        assert_eq!(query.cursor.as_deref(), cursor.as_deref());
        let protocol = last("EIO").and_then(|version| match version {
            "3" => Some(EngineProtocol::V3),
            "4" => Some(EngineProtocol::V4),
            _ => None,
        });
        assert_eq!(query.protocol, protocol);
        let lean = query.lean_uri();
        assert_eq!(lean.path(), "/");
        let Some(lean) = lean.query() else { return false };
        let own = ["EIO", "transport", "sid", "b64", ""];
        assert!(
            lean.split('&').all(|pair| own.contains(&pair.split('=').next().unwrap())),
            "{lean}"
        );
        let again = Query::parse(lean);
        // A fragment is no part of a query.
        if !text.contains('#') {
            assert_eq!(again.protocol, query.protocol);
            assert_eq!((again.websocket, again.session), (query.websocket, query.session));
        }
        true
    });
}

#[test]
fn a_path_is_one_of_three() {
    fuzz!(PATHS, |path: &String| {
        let expected = match path.as_str() {
            "/socket.io" | "/socket.io/" => Some(WayIn::SocketIoNamespace),
            "/base/private" | "/base/private/" => Some(WayIn::Path(Namespace::Private)),
            "/base/guest" | "/base/guest/" => Some(WayIn::Path(Namespace::Guest)),
            _ => None,
        };
        assert_eq!(way_in("/base", path), expected);
        expected.is_some()
    });
}
