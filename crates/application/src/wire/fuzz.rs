//! The argument of an event, held against what the contract says of its fields.

use std::collections::BTreeMap;

use game_realtime_domain::{
    BroadcastCommand, BuyGoodCommand, CommandLimits, SendMessageCommand, whole,
};
use game_realtime_fuzz::{Broken, BrokenText, JSON_WORDS, fuzz};
use garde::Validate;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde_json::{Value, value::RawValue};

use super::command;

const LIMITS: CommandLimits =
    CommandLimits { message_length: 20, text_length: 20, good_id_length: 10 };

const BROADCASTS: BrokenText = Broken::text(
    &[
        r#"{"message":"hello"}"#,
        r#"{"message":"hello","request_id":"r"}"#,
        r#"{"request_id":null,"message":"\u00e9\n"}"#,
        r#"{ "message" : "12345678901234567890" }"#,
    ],
    JSON_WORDS,
);
const MESSAGES: BrokenText = Broken::text(
    &[
        r#"{"target_user_id":"bob","text":"hello"}"#,
        r#"{"text":"hello","target_user_id":"al\"ice","request_id":"r"}"#,
    ],
    JSON_WORDS,
);
const PURCHASES: BrokenText = Broken::text(
    &[
        r#"{"good_id":"sword","count":3}"#,
        r#"{"good_id":"sword","count":30e-1}"#,
        r#"{"count":9007199254740991,"good_id":"1234567890","request_id":"r"}"#,
    ],
    JSON_WORDS,
);

type Is = fn(&Value) -> bool;

/// An object's fields in order, with their repeats.
struct Fields(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

fn text(value: &Value, longest: usize) -> bool {
    value.as_str().is_some_and(|text| (1..=longest).contains(&text.chars().count()))
}

/// Whether an argument is what the contract asks for: all of these fields and no others but a
/// `request_id`, each once.
fn is_right(json: &str, required: &[(&str, Is)]) -> bool {
    let Ok(Fields(fields)) = serde_json::from_str(json) else { return false };
    let count = fields.len();
    let mut fields: BTreeMap<_, _> = fields.into_iter().collect();
    if fields.len() != count {
        return false;
    }
    let request_id = fields.remove("request_id").unwrap_or_default();
    let right = |(name, is): &(&str, Is)| fields.get(*name).is_some_and(is);
    (request_id.is_null() || text(&request_id, 64))
        && fields.len() == required.len()
        && required.iter().all(right)
}

fn check<C>(json: &str, required: &[(&str, Is)]) -> bool
where
    C: DeserializeOwned + Validate<Context = CommandLimits> + std::fmt::Debug,
{
    let Ok(argument) = serde_json::from_str::<&RawValue>(json) else { return false };
    match command::<C>(Some(argument), &LIMITS) {
        Ok(_) => {
            assert!(is_right(json, required), "{json} is taken");
            true
        }
        Err(faults) => {
            assert!(!is_right(json, required), "{json} is refused: {faults:?}");
            assert!(!faults.is_empty(), "{json}");
            // What is told quotes what came, escaped, and not much more.
            let told: usize = faults.iter().map(|it| it.path.len() + it.message.len()).sum();
            assert!(told <= 8 * json.len() + 300, "{json}: {faults:?}");
            false
        }
    }
}

#[test]
fn a_broadcast_is_taken_if_it_is_one() {
    let required: [(&str, Is); 1] = [("message", |it| text(it, 20))];
    fuzz!(BROADCASTS, |json: &String| check::<BroadcastCommand>(json, &required));
}

#[test]
fn a_message_is_taken_if_it_is_one() {
    let required: [(&str, Is); 2] = [
        ("target_user_id", |it| {
            text(it, 128) && !it.as_str().is_some_and(|id| id.chars().any(char::is_control))
        }),
        ("text", |it| text(it, 20)),
    ];
    fuzz!(MESSAGES, |json: &String| check::<SendMessageCommand>(json, &required));
}

#[test]
fn a_purchase_is_taken_if_it_is_one() {
    let required: [(&str, Is); 2] = [
        ("good_id", |it| text(it, 10)),
        ("count", |it| {
            let count = it.as_i64().or_else(|| whole(it.as_f64()?));
            count.is_some_and(|it| (1..=CommandLimits::MAX_COUNT).contains(&it))
        }),
    ];
    fuzz!(PURCHASES, |json: &String| check::<BuyGoodCommand>(json, &required));
}
