//! What clients of version 2 send and the library does not cope with.
//!
//! Such a client puts its query into the packet, `0/namespace?cursor=…,`; Socket.IO servers ignore
//! it there, the library takes it for a part of the name. It is in the URL of the request as well,
//! so it is taken out here, before the library sees the packet.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// An Engine.IO message (`4`) that is a Socket.IO connect (`0`) to a namespace other than the root.
const CONNECT: &str = "40/";

/// The packet without the query of its namespace, if it is a connect that has one.
fn without_query(packet: &str) -> Option<String> {
    packet.strip_prefix(CONNECT)?;
    // A comma ends the namespace; without one it is all there is.
    let (namespace, rest) = packet.split_at(packet.find(',').unwrap_or(packet.len()));
    let (namespace, _query) = namespace.split_once('?')?;
    Some(format!("{namespace}{rest}"))
}

/// A body that the library refuses, ending the session.
const REFUSED: Bytes = Bytes::from_static(b":");

/// The text body of a polling request of version 3, `length:packet` one after the other, with the length
/// in UTF-16 code units. What is not of that form becomes what the library refuses: if a length ends
/// within a character, it would never stop reading (engineioxide-core 0.2.3, `v3_string_decoder`).
pub(crate) fn checked_payload(body: Bytes, strip_queries: bool) -> Bytes {
    let packets = std::str::from_utf8(&body).ok().and_then(packets);
    let Some(packets) = packets else { return REFUSED };
    let stripped: Vec<_> = packets.iter().map(|packet| without_query(packet)).collect();
    if !strip_queries || stripped.iter().all(Option::is_none) {
        return body;
    }
    let mut payload = String::with_capacity(body.len());
    for (packet, stripped) in packets.iter().zip(&stripped) {
        let packet = stripped.as_deref().unwrap_or(packet);
        payload.push_str(&format!("{}:{packet}", packet.encode_utf16().count()));
    }
    Bytes::from(payload)
}

/// The packets of a body, if it is well-formed.
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

/// Takes the queries out of connect packets among the frames of a WebSocket, as they come.
#[derive(Default)]
pub(crate) struct FrameFilter {
    /// The beginning of a frame that is not complete.
    pending: BytesMut,
    /// How much of a frame still passes that is too large to be a connect.
    passing: usize,
}

/// A connect packet is not larger than this.
const LARGEST_CONNECT: usize = 4096;

impl FrameFilter {
    /// Takes what was read and returns what the library should read.
    pub(crate) fn filter(&mut self, read: &[u8]) -> Bytes {
        self.pending.put_slice(read);
        let mut filtered = BytesMut::with_capacity(self.pending.len());
        loop {
            let passing = self.passing.min(self.pending.len());
            filtered.put(self.pending.split_to(passing));
            self.passing -= passing;
            let Some(frame) = Header::parse(&self.pending) else { break };
            if frame.payload > LARGEST_CONNECT {
                self.passing = frame.header + frame.payload;
                continue;
            }
            if self.pending.len() < frame.header + frame.payload {
                break;
            }
            let raw = self.pending.split_to(frame.header + frame.payload);
            match frame.text(&raw).as_deref().and_then(without_query) {
                Some(packet) => put_frame(&mut filtered, &packet),
                None => filtered.put(raw),
            }
        }
        filtered.freeze()
    }

    /// How many bytes it keeps for now.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.pending.len()
    }
}

/// The header of a frame from a client: RFC 6455, section 5.2.
struct Header {
    /// Its length, the mask included.
    header: usize,
    /// The length of what follows it.
    payload: usize,
    is_whole_text: bool,
}

impl Header {
    /// `None` if it is not complete.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let [first, second, ..] = *bytes else { return None };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let (length_bytes, payload) = match second & 0x7f {
            126 => (2, u64::from(u16::from_be_bytes(*bytes.get(2..4)?.first_chunk()?))),
            127 => (8, u64::from_be_bytes(*bytes.get(2..10)?.first_chunk()?)),
            length => (0, u64::from(length)),
        };
        let header = 2 + length_bytes + mask;
        // A length beyond memory is for the library to refuse; it passes.
        let payload =
            usize::try_from(payload).unwrap_or(usize::MAX - header).min(usize::MAX - header);
        (bytes.len() >= header).then_some(Self { header, payload, is_whole_text: first == 0x81 })
    }

    /// The text of a whole frame, if it is text and masked, as it has to be.
    fn text(&self, frame: &[u8]) -> Option<String> {
        if !self.is_whole_text || frame.get(1)? & 0x80 == 0 {
            return None;
        }
        let mask: [u8; 4] = *frame.get(self.header - 4..self.header)?.first_chunk()?;
        let masked = frame.get(self.header..)?.iter();
        let text = masked.zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        String::from_utf8(text).ok()
    }
}

/// Writes a text frame as a client would, masked with zeros.
fn put_frame(frames: &mut BytesMut, text: &str) {
    frames.put_u8(0x81);
    match u8::try_from(text.len()) {
        Ok(length @ 0..126) => frames.put_u8(0x80 | length),
        // Nothing larger than `LARGEST_CONNECT` comes here.
        _ => {
            frames.put_u8(0x80 | 126);
            frames.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
        }
    }
    frames.put_u32(0);
    frames.put_slice(text.as_bytes());
}

/// Copies what fits and keeps the rest.
pub(crate) fn take(from: &mut Bytes, into: &mut tokio::io::ReadBuf<'_>) {
    let length = from.len().min(into.remaining());
    into.put_slice(from.get(..length).unwrap_or_default());
    from.advance(length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_query_of_a_connect_is_taken_out() {
        for (packet, stripped) in [
            ("40/core/guest?cursor=a%3A1.2&x=y,", Some("40/core/guest,")),
            ("40/core/guest?cursor=a,{\"a\":\"?,\"}", Some("40/core/guest,{\"a\":\"?,\"}")),
            ("40/core/guest?cursor=a", Some("40/core/guest")),
            ("40/core/guest,", None),
            ("40/core/guest,{\"token\":\"a?b\"}", None),
            ("42/core/guest,[\"what?\",1]", None),
            ("40", None),
        ] {
            assert_eq!(without_query(packet).as_deref(), stripped, "{packet}");
        }
    }

    #[test]
    fn a_polling_payload_keeps_its_other_packets() {
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
            assert_eq!(checked_payload(Bytes::from(payload), true), stripped, "{payload}");
            assert_eq!(checked_payload(Bytes::from(payload), false), payload);
        }
    }

    #[test]
    fn what_the_library_would_read_for_ever_is_refused() {
        let malformed: [&[u8]; 7] =
            ["1:🎮x".as_bytes(), b"x:40", b"9:40", b"2", b"2:40x", b"1:\xff", b"1:a\xff"];
        for body in malformed {
            let checked = checked_payload(Bytes::copy_from_slice(body), false);
            assert_eq!(checked, REFUSED, "{}", String::from_utf8_lossy(body));
        }
    }

    fn client_frame(text: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![0x81];
        if text.len() < 126 {
            frame.push(0x80 | u8::try_from(text.len()).unwrap());
        } else {
            frame.push(0x80 | 127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
        frame.extend(mask);
        frame.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    #[test]
    fn frames_are_filtered_however_they_are_cut() {
        let large = client_frame(&vec![b'x'; 10_000]);
        let event = client_frame(b"42[\"what?\"]");
        let connect = client_frame(b"40/core/guest?cursor=a,");
        let mut stripped = BytesMut::new();
        put_frame(&mut stripped, "40/core/guest,");
        let input = [&event[..], &connect, &large, &connect, &event].concat();
        let expected = [&event[..], &stripped, &large, &stripped, &event].concat();
        for size in [1, 2, 3, 7, 100, 5000, input.len()] {
            let mut filter = FrameFilter::default();
            let output: Vec<u8> =
                input.chunks(size).flat_map(|chunk| filter.filter(chunk).to_vec()).collect();
            assert!(output == expected, "cut into {size}");
        }
    }
}
