//! The payload with which a client joins.

use std::collections::HashMap;

use game_realtime_fuzz::{Broken, BrokenText, JSON_WORDS, fuzz};
use serde_json::value::RawValue;

use crate::namespaces::Presented;

const PAYLOADS: BrokenText = Broken::text(
    &[
        r#"{"token":"eyJ.a.b","cursor":"e:1.2"}"#,
        r#"{"cursor":null,"token":7}"#,
        r#"[{"token":"a"}]"#,
        r#"{"token":"a","cursor":"\ud83d"}"#,
        "{}",
    ],
    JSON_WORDS,
);

#[test]
fn a_cursor_that_cannot_be_read_does_not_take_the_token_along() {
    for cursor in [r#""\ud83d""#, "1e999"] {
        let presented = Presented::parse(&format!(r#"{{"token":"a","cursor":{cursor}}}"#));
        assert_eq!(presented.token.as_deref(), Some("a"));
        assert_eq!(presented.cursor.as_deref(), Some(cursor), "a gap, not a fresh start");
    }
}

#[test]
fn a_token_is_the_field_of_that_name_and_nothing_else() {
    fuzz!(PAYLOADS, |json: &String| {
        let presented = Presented::parse(json);
        let Ok(fields) = serde_json::from_str::<HashMap<String, &RawValue>>(json) else {
            assert_eq!(presented, Presented::default(), "{json}");
            return false;
        };
        for (name, found) in [("token", &presented.token), ("cursor", &presented.cursor)] {
            match fields.get(name).map(|value| serde_json::from_str(value.get())) {
                None | Some(Ok(serde_json::Value::Null)) => assert_eq!(*found, None, "{json}"),
                Some(Ok(serde_json::Value::String(text))) => assert_eq!(*found, Some(text)),
                // What is no text is there all the same: it is refused later, not overlooked.
                Some(_) => assert!(found.is_some(), "{json}"),
            }
        }
        presented != Presented::default()
    });
}
