//! The bodies of polling requests of version 3, which may hold connects with a query.

use bytes::Bytes;
use game_realtime_fuzz::{Broken, fuzz};

use crate::legacy_connect::strip_payload;

const PAYLOADS: Broken = Broken::bytes(
    &[
        "23:40/core/guest?cursor=a,13:42[\"hé\",\"a?\"]",
        "2:40",
        "14:40/core/guest,1:2",
        "40:40/core/private?token=a&cursor=b%2Cc,{\"?\":1}",
        "30:40/core/guest,{\"token\":\"a?b,c\"}",
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
    let mut rest: Vec<char> = std::str::from_utf8(body).ok()?.chars().collect();
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let colon = rest.iter().position(|character| *character == ':')?;
        let length: String = rest.drain(..=colon).take(colon).collect();
        let length: usize = length.parse().ok()?;
        packets.push(rest.drain(..length.min(rest.len())).collect());
    }
    Some(packets)
}

/// What a packet has to become: without what stands between the first question mark of its namespace
/// and the comma that ends it.
pub(super) fn stripped(packet: &str) -> String {
    if !packet.starts_with("40/") {
        return packet.to_owned();
    }
    let end = packet.find(',').unwrap_or(packet.len());
    let (namespace, rest) = packet.split_at(end);
    format!("{}{rest}", namespace.split('?').next().unwrap())
}

#[test]
fn only_connects_change_and_only_their_query_goes() {
    fuzz!(PAYLOADS, |body: &Vec<u8>| {
        let result = strip_payload(Bytes::from(body.clone()));
        let Some(before) = packets(body) else {
            assert_eq!(result, body, "what is not well-formed is left as it is");
            return false;
        };
        let expected: Vec<_> = before.iter().map(|packet| stripped(packet)).collect();
        if expected == before {
            // Whatever becomes of lengths that are not true, the packets stay.
            assert_eq!(packets(&result), Some(before));
            return false;
        }
        assert_eq!(packets(&result), Some(expected));
        assert_eq!(strip_payload(result.clone()), result, "there is nothing more to take out");
        true
    });
}
