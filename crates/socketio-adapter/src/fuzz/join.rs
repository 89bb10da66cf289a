//! The payload with which a client joins.

use game_realtime_fuzz::{Broken, BrokenText, JSON_WORDS, fuzz};

use crate::namespaces::Presented;

const PAYLOADS: BrokenText = Broken::text(
    &[
        r#"{"token":"eyJ.a.b","cursor":"e:1.2"}"#,
        r#"{"cursor":null,"token":7}"#,
        r#"[{"token":"a"}]"#,
        "{}",
    ],
    JSON_WORDS,
);

#[test]
fn a_token_is_the_field_of_that_name_and_nothing_else() {
    fuzz!(PAYLOADS, |json: &String| {
        let presented = Presented::parse(json);
        let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(json) else {
            assert_eq!(presented, Presented::default(), "{json}");
            return false;
        };
        for (name, found) in [("token", &presented.token), ("cursor", &presented.cursor)] {
            match fields.get(name) {
                None | Some(serde_json::Value::Null) => assert_eq!(*found, None, "{json}"),
                Some(serde_json::Value::String(text)) => assert_eq!(found.as_ref(), Some(text)),
                // What is no text is there all the same: it is refused later, not overlooked.
                Some(_) => assert!(found.is_some(), "{json}"),
            }
        }
        presented != Presented::default()
    });
}
