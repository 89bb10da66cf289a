//! From what a client says to a validated command, or to the faults of its payload.

use std::fmt;

use garde::{Unvalidated, Valid, Validate};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess,
    value::MapAccessDeserializer,
};
use serde_json::{Value, value::RawValue};

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
    let command = serde_json::from_str::<C>(json).or_else(|error| explain(json, &error))?;
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
fn explain<C: DeserializeOwned>(
    json: &str,
    error: &serde_json::Error,
) -> Result<C, Vec<FieldFault>> {
    let Ok(Value::Object(fields)) = serde_json::from_str(json) else {
        return Err(not_one_object());
    };
    match C::deserialize(MapAccessDeserializer::new(Fields {
        rest: fields.into_iter(),
        next: None,
    })) {
        Err(Fault(found)) => Err(vec![found]),
        // The object itself is at fault, such as by naming a field twice.
        Ok(_) => Err(vec![fault("", error.to_string())]),
    }
}

/// A deserialization error that knows its field.
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

    fn missing_field(field: &'static str) -> Self {
        Self(fault(field, "is required"))
    }

    fn unknown_field(field: &str, _expected: &'static [&'static str]) -> Self {
        Self(fault(field, "is not known"))
    }
}

/// The fields of an object. Whatever is wrong with a value is told with the name of its field.
struct Fields {
    rest: serde_json::map::IntoIter,
    next: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Fields {
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
        let (name, value) = self.next.take().unwrap_or_default();
        seed.deserialize(value).map_err(|error| Fault(fault(name, error.to_string())))
    }
}

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
    fn each_fault_names_its_field() {
        let cases = [
            (r"{}", "message: is required"),
            (r#"{"message":null}"#, "message: "),
            (r#"{"message":5}"#, "message: "),
            (r#"{"message":{"_placeholder":true,"num":0}}"#, "message: "),
            (r#"{"message":""}"#, "message: "),
            (r#"{"message":"12345678901"}"#, "message: "),
            (r#"{"message":"x","extra":1}"#, "extra: is not known"),
            (r#"{"message":"x","request_id":""}"#, "request_id: must have 1 to 64 characters"),
            (r#"{"message":"x","request_id":7}"#, "request_id: "),
        ];
        for (payload, expected) in cases {
            let found = faults::<BroadcastCommand>(payload);
            assert_eq!(found.len(), 1, "{payload}: {found:?}");
            assert!(found[0].starts_with(expected), "{payload}: {found:?}");
        }
        let cases = [
            (r#"{"good_id":"x","count":0}"#, "count: "),
            (r#"{"good_id":"x","count":-1}"#, "count: "),
            (r#"{"good_id":"x","count":1.5}"#, "count: "),
            (r#"{"good_id":"x","count":"3"}"#, "count: "),
            (r#"{"good_id":"x","count":1152921504606846976}"#, "count: "),
            (r#"{"good_id":"x","count":99999999999999999999}"#, "count: "),
            (r#"{"good_id":"","count":1}"#, "good_id: "),
        ];
        for (payload, expected) in cases {
            let found = faults::<BuyGoodCommand>(payload);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{payload}: {found:?}");
        }
        let found = faults::<SendMessageCommand>(r#"{"target_user_id":"a\u0000","text":"x"}"#);
        assert!(found.len() == 1 && found[0].starts_with("target_user_id: "), "{found:?}");
    }

    #[test]
    fn a_null_request_id_is_none() {
        let command = read::<BroadcastCommand>(r#"{"message":"x","request_id":null}"#).unwrap();
        assert!(command.request_id.is_none());
    }
}
