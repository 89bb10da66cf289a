//! The packets in the body of a polling request, as far as the library must not read them as they are.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{library::EngineProtocol, packet_head::edited};

/// Ends a packet of version 4.
const SEPARATOR: u8 = 0x1e;

/// A body of version 3 that the library refuses, ending the session.
const REFUSED: Bytes = Bytes::from_static(b":");

/// The body as the library reads it. `is_text` tells the two forms of version 3 apart.
pub(crate) fn checked(
    body: Bytes,
    protocol: EngineProtocol,
    is_text: bool,
    strip_queries: bool,
) -> Bytes {
    match (protocol, is_text) {
        (EngineProtocol::V4, _) => separated(body),
        (EngineProtocol::V3, true) => counted(body, strip_queries),
        (EngineProtocol::V3, false) => binary(body, strip_queries),
    }
}

/// Version 4: packets with a separator between them.
fn separated(body: Bytes) -> Bytes {
    let packets =
        || body.split(|byte| *byte == SEPARATOR).map(|packet| (packet, edited(packet, false)));
    if packets().all(|(_, edited)| edited.is_none()) {
        return body;
    }
    let packets: Vec<_> =
        packets().map(|(packet, edited)| edited.unwrap_or_else(|| packet.to_vec())).collect();
    packets.join(&SEPARATOR).into()
}

/// Version 3, as text: `length:packet` one after the other, with the length in UTF-16 code units. What is
/// not of that form becomes what the library refuses: if a length ends within a character, it would never
/// stop reading (engineioxide-core 0.2.3, `v3_string_decoder`).
fn counted(body: Bytes, strip_queries: bool) -> Bytes {
    let packets = std::str::from_utf8(&body).ok().and_then(packets);
    let Some(packets) = packets else { return REFUSED };
    let changed: Vec<_> =
        packets.iter().map(|packet| edited(packet.as_bytes(), strip_queries)).collect();
    if changed.iter().all(Option::is_none) {
        return body;
    }
    let mut payload = String::with_capacity(body.len());
    for (packet, changed) in packets.iter().zip(&changed) {
        let changed = changed.as_deref().map(String::from_utf8_lossy);
        let packet = changed.as_deref().unwrap_or(packet);
        payload.push_str(&format!("{}:{packet}", packet.encode_utf16().count()));
    }
    Bytes::from(payload)
}

/// The packets of a body of version 3, if it is well-formed.
pub(crate) fn packets(payload: &str) -> Option<Vec<&str>> {
    let mut packets = Vec::new();
    let mut rest = payload;
    while !rest.is_empty() {
        let (length, after) = rest.split_once(':')?;
        let mut left: usize = length.parse().ok()?;
        let mut end = 0;
        let mut characters = after.chars();
        while left > 0 {
            let character = characters.next()?;
            left = left.checked_sub(character.len_utf16())?;
            end += character.len_utf8();
        }
        let (packet, after) = after.split_at_checked(end)?;
        packets.push(packet);
        rest = after;
    }
    Some(packets)
}

/// Begins a text packet in a binary body of version 3; after it comes the length, a digit a byte, then
/// [`LENGTH_ENDS`].
const TEXT: u8 = 0;
/// Ends the length of a packet in a binary body.
const LENGTH_ENDS: u8 = 0xff;

/// Version 3, with binary packets among the others. What is malformed is for the library to refuse.
fn binary(body: Bytes, strip_queries: bool) -> Bytes {
    let mut changed = false;
    let mut payload = BytesMut::with_capacity(body.len());
    let mut rest = &body[..];
    while let Some((head, packet, after)) = split_binary(rest) {
        match edited(packet, strip_queries).filter(|_| head.first() == Some(&TEXT)) {
            Some(packet) => {
                changed = true;
                payload.put_u8(TEXT);
                payload.extend(packet.len().to_string().bytes().map(|digit| digit - b'0'));
                payload.put_u8(LENGTH_ENDS);
                payload.put_slice(&packet);
            }
            None => {
                payload.put_slice(head);
                payload.put_slice(packet);
            }
        }
        rest = after;
    }
    payload.put_slice(rest);
    if changed { payload.freeze() } else { body }
}

/// The head of the first packet, the packet, and what follows it.
fn split_binary(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let head = body.iter().position(|byte| *byte == LENGTH_ENDS)? + 1;
    let (head, after) = body.split_at_checked(head)?;
    let digits = head.get(1..head.len() - 1)?;
    let length = digits.iter().try_fold(0_usize, |length, digit| {
        (*digit < 10).then(|| length.checked_mul(10)?.checked_add(usize::from(*digit)))?
    })?;
    let (packet, after) = after.split_at_checked(length)?;
    Some((head, packet, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_body_of_version_3_keeps_its_other_packets() {
        for (payload, stripped) in [
            (
                "23:40/core/guest?cursor=a,13:42[\"hé\",\"a?\"]",
                "14:40/core/guest,13:42[\"hé\",\"a?\"]",
            ),
            ("8:40/a?🎮,4:42🎮", "5:40/a,4:42🎮"),
            ("2:40", "2:40"),
            ("0:2:40", "0:2:40"),
            ("", ""),
        ] {
            let body = || Bytes::from(payload);
            assert_eq!(checked(body(), EngineProtocol::V3, true, true), stripped, "{payload}");
            assert_eq!(checked(body(), EngineProtocol::V3, true, false), payload);
        }
        let body = Bytes::from(r#"14:42["\u00e9",1]1:2"#);
        assert_eq!(checked(body, EngineProtocol::V3, true, false), r#"9:42["é",1]1:2"#);
    }

    #[test]
    fn every_name_in_a_body_of_version_4_is_read() {
        let body = Bytes::from("42[\"a\\tb\",1]\u{1e}2\u{1e}42[\"e\"]\u{1e}421[\"\\u00e9\"]");
        let read = "42[\"a\u{fdd9}b\",1]\u{1e}2\u{1e}42[\"e\"]\u{1e}421[\"é\"]";
        assert_eq!(checked(body, EngineProtocol::V4, true, false), read);
        let plain = Bytes::from("42[\"e\",\"\\t\"]\u{1e}2\u{1e}");
        assert_eq!(checked(plain.clone(), EngineProtocol::V4, true, false), plain);
    }

    #[test]
    fn a_binary_body_of_version_3_keeps_its_other_packets() {
        let packet = |kind: u8, data: &[u8]| {
            let digits = data.len().to_string().into_bytes();
            let digits = digits.into_iter().map(|digit| digit - b'0');
            [kind].into_iter().chain(digits).chain([0xff]).chain(data.iter().copied()).collect()
        };
        let check = |packets: &[Vec<u8>]| {
            checked(Bytes::from(packets.concat()), EngineProtocol::V3, false, true)
        };
        let attachment: Vec<u8> = packet(1, b"4\\?\xff");
        let name = packet(0, br#"451-["\u00e9",1]"#);
        let connect = packet(0, b"40/core/guest?cursor=a,");
        let read = [
            packet(0, "451-[\"é\",1]".as_bytes()),
            attachment.clone(),
            packet(0, b"40/core/guest,"),
        ];
        assert_eq!(check(&[name, attachment.clone(), connect.clone()]), read.concat());
        assert_eq!(check(std::slice::from_ref(&attachment)), attachment);
        let cut = connect[..connect.len() - 1].to_vec();
        assert_eq!(check(std::slice::from_ref(&cut)), cut);
    }

    #[test]
    fn what_the_library_would_read_for_ever_is_refused() {
        let malformed: [&[u8]; 7] =
            ["1:🎮x".as_bytes(), b"x:40", b"9:40", b"2", b"2:40x", b"1:\xff", b"1:a\xff"];
        for body in malformed {
            let checked = checked(Bytes::copy_from_slice(body), EngineProtocol::V3, true, false);
            assert_eq!(checked, REFUSED, "{}", String::from_utf8_lossy(body));
        }
    }
}
