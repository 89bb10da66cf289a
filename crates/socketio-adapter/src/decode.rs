//! From the data of an event packet to the event's name and argument.

use std::fmt;

use serde::{
    Deserializer,
    de::{self, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::packet_head::name_as_sent;

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
            let name = name_as_sent(name);
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_packet_has_a_name_and_perhaps_one_argument() {
        for (data, argument) in [
            (r#"["e",{"x":1}]"#, Some(r#"{"x":1}"#)),
            (r#"["e",[1]]"#, Some("[1]")),
            (r#"["e"]"#, None),
            (r#"["e",{},{}]"#, None),
            (r#"["e",{"message":"x"},1]"#, None),
        ] {
            let packet = packet(data).unwrap();
            assert_eq!(packet.name, "e");
            assert_eq!(packet.argument.map(RawValue::get), argument, "{data}");
        }
        for data in ["", "{}", "[]", "[1]", r#"["e""#] {
            assert!(packet(data).is_err(), "{data}");
        }
    }
}
