//! From what a client says to a validated command, or to the faults of its payload.

use std::fmt;

use garde::{Unvalidated, Valid, Validate};
use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, Error, Expected, IntoDeserializer, MapAccess,
        Unexpected, Visitor,
        value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::value::RawValue;

use super::FieldFault;

/// Decodes and validates the argument of an event.
///
/// # Errors
/// What is wrong with which field.
pub fn command<C>(
    argument: Option<&RawValue>,
    limits: &C::Context,
) -> Result<Valid<C>, Vec<FieldFault>>
where
    C: DeserializeOwned + Validate,
{
    // Structures can be read from arrays too, field by field.
    let is_object = |json: &&str| json.starts_with('{');
    let json = argument.map(RawValue::get).filter(is_object).ok_or_else(not_one_object)?;
    // Everything is decoded twice only if it is wrong, to say where.
    let command = serde_json::from_str::<C>(json).or_else(|_| explain(json))?;
    Unvalidated::new(command).validate_with(limits).map_err(|report| {
        report
            .iter()
            .map(|(path, error)| fault(path.to_string(), error.message().to_string()))
            .collect()
    })
}

fn fault(path: impl Into<String>, message: impl Into<String>) -> FieldFault {
    FieldFault { path: path.into(), message: message.into() }
}

fn not_one_object() -> Vec<FieldFault> {
    vec![fault("", "must be one JSON object")]
}

/// Finds the field that does not fit.
fn explain<C: DeserializeOwned>(json: &str) -> Result<C, Vec<FieldFault>> {
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(json) else { return Err(not_one_object()) };
    C::deserialize(MapAccessDeserializer::new(fields)).map_err(|Fault(found)| vec![found])
}

/// A deserialization error that knows its field, and says the rule instead of the type.
#[derive(Debug)]
struct Fault(FieldFault);

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.0.path, self.0.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(fault("", message.to_string()))
    }

    fn invalid_type(_unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(fault("", format!("must be {expected}")))
    }

    fn invalid_value(_unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(fault("", format!("must be {expected}")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self(fault(field, "is required"))
    }

    fn unknown_field(field: &str, _expected: &'static [&'static str]) -> Self {
        Self(fault(field, "is not known"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self(fault(field, "must be given once"))
    }
}

/// The fields of an object as they were written, in order and with their repeats. Whatever is wrong with a
/// value is told with the name of its field.
struct Fields<'a> {
    rest: std::vec::IntoIter<(String, &'a RawValue)>,
    next: Option<(String, &'a RawValue)>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    // One that cannot be read is not known either, and is shown as it was written.
                    let name = serde_json::from_str(name.get())
                        .unwrap_or_else(|_| name.get().trim_matches('"').to_owned());
                    fields.push((name, value));
                }
                Ok(fields)
            }
        }

        let fields = deserializer.deserialize_map(FieldsVisitor)?;
        Ok(Self { rest: fields.into_iter(), next: None })
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.next = self.rest.next();
        let Some((name, _)) = &self.next else { return Ok(None) };
        seed.deserialize(name.clone().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (name, value) = self.next.take().ok_or_else(|| Fault::custom("is not there"))?;
        seed.deserialize(Written(value)).map_err(|Fault(found)| Fault(fault(name, found.message)))
    }
}

/// A value as it was written. Unlike `serde_json`'s, it can be read if it is half of a surrogate pair or too
/// large a number, as far as to say what is wrong with it.
struct Written<'a>(&'a RawValue);

impl<'de> Deserializer<'de> for Written<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let json = self.0.get();
        match json.as_bytes().first() {
            Some(b'"') => match serde_json::from_str(json) {
                Ok(text) => visitor.visit_string(text),
                Err(_) => Err(Fault::custom(
                    "must be well-formed Unicode: half of a surrogate pair is no text",
                )),
            },
            Some(b'{') => visitor.visit_map(MapDeserializer::<_, Fault>::new(NOTHING.into_iter())),
            Some(b'[') => visitor.visit_seq(SeqDeserializer::<_, Fault>::new([(); 0].into_iter())),
            Some(b't') => visitor.visit_bool(true),
            Some(b'f') => visitor.visit_bool(false),
            Some(b'n') => visitor.visit_unit(),
            Some(_) | None => {
                if let Ok(number) = serde_json::from_str(json) {
                    visitor.visit_i64(number)
                } else {
                    visitor.visit_f64(serde_json::from_str(json).unwrap_or(f64::INFINITY))
                }
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.get() == "null" { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// No field takes an object or an array, so their contents do not matter.
const NOTHING: [((), ()); 0] = [];

#[cfg(test)]
mod tests {
    use game_realtime_domain::{
        BroadcastCommand, BuyGoodCommand, CommandLimits, SendMessageCommand,
    };

    use super::*;

    const LIMITS: CommandLimits =
        CommandLimits { message_length: 10, text_length: 10, good_id_length: 10 };

    fn read<C>(json: &str) -> Result<Valid<C>, Vec<FieldFault>>
    where
        C: DeserializeOwned + Validate<Context = CommandLimits>,
    {
        command(Some(serde_json::from_str(json).expect(json)), &LIMITS)
    }

    fn faults<C>(json: &str) -> Vec<String>
    where
        C: DeserializeOwned + Validate<Context = CommandLimits> + std::fmt::Debug,
    {
        let faults = read::<C>(json).expect_err(json);
        faults.into_iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect()
    }

    #[test]
    fn a_good_payload_is_a_command() {
        let command = read::<BuyGoodCommand>(r#"{"good_id":"x","count":3,"request_id":"r"}"#);
        let command = command.unwrap().into_inner();
        assert_eq!((command.good_id.as_str(), command.count), ("x", 3));
        assert_eq!(command.request_id.unwrap().as_str(), "r");
    }

    #[test]
    fn what_is_not_one_object_is_said_to_be_that() {
        for argument in ["1", r#""x""#, "null", "[]", r#"["x"]"#, r#" ["x", null]"#, "true"] {
            let faults = faults::<BroadcastCommand>(argument);
            assert_eq!(faults, [": must be one JSON object"], "{argument}");
        }
        let none = command::<BroadcastCommand>(None, &LIMITS).unwrap_err();
        assert_eq!(none, not_one_object());
    }

    #[test]
    fn each_fault_names_its_field_and_the_rule() {
        let text = "message: must be a string";
        let length = "message: must have 1 to 10 characters";
        let cases = [
            (r"{}", "message: is required"),
            (r#"{"message":null}"#, text),
            (r#"{"message":5}"#, text),
            (r#"{"message":1e999}"#, text),
            (r#"{"message":false}"#, text),
            (r#"{"message":[["x"]]}"#, text),
            (r#"{"message":{"_placeholder":true,"num":0}}"#, text),
            (r#"{"message":""}"#, length),
            (r#"{"message":"12345678901"}"#, length),
            (r#"{"message":"x","extra":1}"#, "extra: is not known"),
            (r#"{"message":"x","\ud83d":1}"#, r"\ud83d: is not known"),
            (r#"{"message":"x","message":"x"}"#, "message: must be given once"),
            (r#"{"message":"x","request_id":""}"#, "request_id: must have 1 to 64 characters"),
            (r#"{"message":"x","request_id":7}"#, "request_id: must be a string"),
        ];
        for (payload, expected) in cases {
            assert_eq!(faults::<BroadcastCommand>(payload), [expected], "{payload}");
        }
        let found = faults::<SendMessageCommand>(r#"{"target_user_id":"a\u0000","text":"x"}"#);
        let rule = "target_user_id: must have 1 to 128 characters and no control characters";
        assert_eq!(found, [rule]);
        let deep = format!(r#"{{"message":{}{}}}"#, "[".repeat(1000), "]".repeat(1000));
        assert_eq!(faults::<BroadcastCommand>(&deep), [text]);
    }

    #[test]
    fn half_of_a_surrogate_pair_is_the_fault_of_its_field() {
        for half in
            [r"\ud83d", r"a\uD83Db", r"\udfae", r"\ud83d\ud83d", r"\ud83d\n", r"\udfae\ud83d"]
        {
            let payload = |other: &str, field| format!(r#"{{{other}"{field}":"{half}"}}"#);
            for (found, field) in [
                (faults::<BroadcastCommand>(&payload("", "message")), "message"),
                (
                    faults::<BroadcastCommand>(&payload(r#""message":"x","#, "request_id")),
                    "request_id",
                ),
                (
                    faults::<SendMessageCommand>(&payload(r#""target_user_id":"a","#, "text")),
                    "text",
                ),
                (
                    faults::<SendMessageCommand>(&payload(r#""text":"x","#, "target_user_id")),
                    "target_user_id",
                ),
                (faults::<BuyGoodCommand>(&payload(r#""count":1,"#, "good_id")), "good_id"),
            ] {
                let rule = "must be well-formed Unicode: half of a surrogate pair is no text";
                assert_eq!(found, [format!("{field}: {rule}")], "{half}");
            }
            let count = faults::<BuyGoodCommand>(&payload(r#""good_id":"x","#, "count"));
            assert!(count.len() == 1 && count[0].starts_with("count: "), "{count:?}");
        }
        let whole = read::<BroadcastCommand>(r#"{"message":"\ud83c\udfae"}"#).unwrap();
        assert_eq!(whole.into_inner().message, "🎮");
    }

    #[test]
    fn a_whole_number_may_be_written_in_any_way() {
        for (written, count) in [
            ("3", 3),
            ("1.0", 1),
            ("1e2", 100),
            ("1E+2", 100),
            ("100e-2", 1),
            ("0.5e1", 5),
            ("9007199254740991", CommandLimits::MAX_COUNT),
            ("9007199254740991.0", CommandLimits::MAX_COUNT),
        ] {
            let payload = format!(r#"{{"good_id":"x","count":{written}}}"#);
            assert_eq!(read::<BuyGoodCommand>(&payload).unwrap().into_inner().count, count);
        }
        let rule = "count: must be a whole number of at least 1";
        let most = "count: must be at most 9007199254740991";
        for (written, fault) in [
            ("0", rule),
            ("-0.0", rule),
            ("-1", rule),
            ("-1e30", rule),
            ("1.5", rule),
            ("1e-1", rule),
            ("\"3\"", rule),
            ("\"NaN\"", rule),
            ("null", rule),
            ("true", rule),
            ("[1]", rule),
            ("{}", rule),
            ("1e999", rule),
            ("9007199254740992", most),
            ("9007199254740992.0", most),
            ("1152921504606846976", most),
            ("99999999999999999999", most),
            ("1e300", most),
        ] {
            let payload = format!(r#"{{"good_id":"x","count":{written}}}"#);
            assert_eq!(faults::<BuyGoodCommand>(&payload), [fault], "{written}");
        }
    }

    #[test]
    fn a_null_request_id_is_none() {
        let command = read::<BroadcastCommand>(r#"{"message":"x","request_id":null}"#).unwrap();
        assert!(command.request_id.is_none());
    }
}
