//! The bodies of polling requests of version 3, which may hold what the library must not read.

use bytes::Bytes;
use game_realtime_fuzz::{Broken, fuzz};

use crate::{library::EngineProtocol, packet_head::edited, polling_payload};

const PAYLOADS: Broken = Broken::bytes(
    &[
        "23:40/core/guest?cursor=a,13:42[\"hé\",\"a?\"]",
        "2:40",
        "14:40/core/guest,1:2",
        "40:40/core/private?token=a&cursor=b%2Cc,{\"?\":1}",
        "30:40/core/guest,{\"token\":\"a?b,c\"}",
        "19:42[\"a\\u00e9\\n\",{}]1:2",
    ],
    &[
        ":",
        "0:",
        "1:",
        "+5:",
        "99999999999999999999:",
        "40/",
        "?",
        ",",
        "40/a?b",
        "é",
        "\u{1F3AE}",
        "4",
        "\u{1e}",
    ],
);

/// The packets of a body, if it is well-formed.
fn packets(body: &[u8]) -> Option<Vec<String>> {
    let mut rest: Vec<u16> = std::str::from_utf8(body).ok()?.encode_utf16().collect();
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let colon = rest.iter().position(|unit| *unit == u16::from(b':'))?;
        let length: Vec<_> = rest.drain(..=colon).take(colon).collect();
        let length: usize = String::from_utf16(&length).ok()?.parse().ok()?;
        let packet: Vec<_> = (length <= rest.len()).then(|| rest.drain(..length).collect())?;
        packets.push(String::from_utf16(&packet).ok()?);
    }
    Some(packets)
}

#[test]
fn only_heads_change() {
    fuzz!(PAYLOADS, |body: &Vec<u8>| {
        let checked = |body: &[u8], strip| {
            let body = Bytes::copy_from_slice(body);
            polling_payload::checked(body, EngineProtocol::V3, true, strip)
        };
        let result = checked(body, true);
        let Some(before) = packets(body) else {
            assert_eq!(result, ":", "the library must not read what is not well-formed");
            assert_eq!(checked(body, false), ":");
            return false;
        };
        let changed = |packet: &String| {
            let edited = edited(packet.as_bytes(), true);
            edited.map_or_else(|| packet.clone(), |edited| String::from_utf8(edited).unwrap())
        };
        let expected: Vec<_> = before.iter().map(changed).collect();
        if expected == before {
            assert_eq!(result, body);
            return false;
        }
        assert_eq!(packets(&result), Some(expected));
        assert_eq!(checked(&result, true), result, "there is nothing more to change");
        true
    });
}
