//! From a client's packet to a validated command, or to the faults of its payload.

use std::fmt;

use garde::{Unvalidated, Valid, Validate};
use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, IgnoredAny, IntoDeserializer, MapAccess,
        SeqAccess, Visitor, value::MapAccessDeserializer,
    },
};
use serde_json::{Value, value::RawValue};

use crate::error_code::FieldFault;

/// An event as a client sent it: its name, and its argument if there is exactly one.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) name: String,
    pub(crate) argument: Option<&'a RawValue>,
}

/// Reads the data of an event packet: `["name", argument]`.
pub(crate) fn packet(data: &str) -> Result<Packet<'_>, serde_json::Error> {
    struct PacketVisitor;

    impl<'de> Visitor<'de> for PacketVisitor {
        type Value = Packet<'de>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an array that begins with the name of an event")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
            let name =
                sequence.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
            let first: Option<&RawValue> = sequence.next_element()?;
            let mut several = false;
            while sequence.next_element::<IgnoredAny>()?.is_some() {
                several = true;
            }
            Ok(Packet { name, argument: first.filter(|_| !several) })
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(data);
    let packet = deserializer.deserialize_seq(PacketVisitor)?;
    deserializer.end()?;
    Ok(packet)
}

/// Decodes and validates the argument of an event.
pub(crate) fn command<C>(
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

    fn faults<C>(data: &str) -> Vec<String>
    where
        C: DeserializeOwned + Validate<Context = CommandLimits> + std::fmt::Debug,
    {
        let packet = packet(data).expect(data);
        let faults = command::<C>(packet.argument, &LIMITS).expect_err(data);
        faults.into_iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect()
    }

    #[test]
    fn a_good_payload_is_a_command() {
        let packet =
            packet(r#"["core.game.state.buy_good",{"good_id":"x","count":3,"request_id":"r"}]"#)
                .unwrap();
        assert_eq!(packet.name, "core.game.state.buy_good");
        let command = command::<BuyGoodCommand>(packet.argument, &LIMITS).unwrap().into_inner();
        assert_eq!((command.good_id.as_str(), command.count), ("x", 3));
        assert_eq!(command.request_id.unwrap().as_str(), "r");
    }

    #[test]
    fn what_follows_a_packet_makes_it_none() {
        for data in [r#"["e",{}]"#, "[\"e\"] \n"] {
            assert!(packet(data).is_ok(), "{data}");
        }
        for data in [r#"["e",{}]]"#, r#"["e"]x"#, r#"["e"],1"#, r#"["e"]["e"]"#] {
            assert!(packet(data).is_err(), "{data}");
        }
    }

    #[test]
    fn what_is_not_one_object_is_said_to_be_that() {
        for arguments in [
            "",
            ",1",
            r#","x""#,
            ",null",
            ",[]",
            r#",["x"]"#,
            r#", ["x", null]"#,
            ",true",
            ",{},{}",
            r#",{"message":"x"},1"#,
        ] {
            assert_eq!(
                faults::<BroadcastCommand>(&format!(r#"["e"{arguments}]"#)),
                [": must be one JSON object"],
                "{arguments}"
            );
        }
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
            let found = faults::<BroadcastCommand>(&format!(r#"["e",{payload}]"#));
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
            let found = faults::<BuyGoodCommand>(&format!(r#"["e",{payload}]"#));
            assert!(found.len() == 1 && found[0].starts_with(expected), "{payload}: {found:?}");
        }
        let found =
            faults::<SendMessageCommand>(r#"["e",{"target_user_id":"a\u0000","text":"x"}]"#);
        assert!(found.len() == 1 && found[0].starts_with("target_user_id: "), "{found:?}");
    }

    #[test]
    fn a_null_request_id_is_none() {
        let packet = packet(r#"["e",{"message":"x","request_id":null}]"#).unwrap();
        assert!(
            command::<BroadcastCommand>(packet.argument, &LIMITS).unwrap().request_id.is_none()
        );
    }
}
