//! Values that are made of text, given all kinds of text.

use alloc::string::{String, ToString};

use game_realtime_fuzz::{Broken, BrokenText, fuzz};

use crate::{Cursor, EventType, Namespace, RequestId, UserId};

const CURSORS: BrokenText = Broken::text(
    &[
        "0192f0c1a2b3c4d5e6f708192a3b4c5d:123456789.7",
        "a:0.0",
        "e1:18446744073709551615.4294967295",
    ],
    &[
        ":",
        ".",
        "0",
        "00",
        "-",
        "+",
        "18446744073709551616",
        "4294967296",
        " ",
        "é",
        "\u{0}",
        "\n",
        "e",
    ],
);

const NAMES: BrokenText = Broken::text(
    &[
        "alice",
        "private",
        "guest",
        "core.game.state.broadcast",
        "core.game.state.buy_good",
        "é\u{1F3AE}",
    ],
    &[
        "\u{0}",
        "\n",
        "\u{7f}",
        "\u{85}",
        "\u{200b}",
        "é",
        "aaaaaaaaaaaaaaaaaaaa",
        "/",
        "%",
        " ",
        ".",
        "core",
    ],
);

#[test]
fn a_cursor_has_one_spelling() {
    fuzz!(CURSORS, |text: &String| {
        let Ok(cursor) = text.parse::<Cursor>() else { return false };
        assert_eq!(cursor.to_string(), *text);
        assert!((1..=64).contains(&cursor.epoch.as_str().len()));
        true
    });
}

#[test]
fn a_name_is_taken_as_it_is_or_not_at_all() {
    fuzz!(NAMES, |text: &String| {
        let length = text.chars().count();
        let user_id = UserId::parse(text.clone());
        let fits = (1..=128).contains(&length) && !text.chars().any(char::is_control);
        assert_eq!(user_id.as_ref().map(UserId::as_str).ok(), fits.then_some(text.as_str()));
        let request_id = RequestId::try_from(text.clone());
        let fits = (1..=64).contains(&length);
        assert_eq!(request_id.as_ref().map(RequestId::as_str).ok(), fits.then_some(text.as_str()));
        if let Ok(namespace) = text.parse::<Namespace>() {
            assert_eq!(namespace.as_str(), text);
        }
        if let Ok(event_type) = text.parse::<EventType>() {
            assert_eq!(event_type.as_str(), text);
        }
        user_id.is_ok()
    });
}
