//! WebSocket frames as a server sends them: RFC 6455, section 5.2, never masked.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Gate, MARK, probe::is_probe_answer};

/// A close frame with the status 1001, "going away" (RFC 6455, section 7.4.1).
pub(crate) const CLOSE_GOING_AWAY: &[u8] = &[0x88, 0x02, 0x03, 0xE9];

const FINAL_TEXT: u8 = 0x81;

/// One text frame that holds the parts one after the other.
pub(crate) fn text_frame(parts: &[&str]) -> Bytes {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = BytesMut::with_capacity(length + 10);
    frame.put_u8(FINAL_TEXT);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..126), _) => frame.put_u8(length),
        (_, Ok(length)) => {
            frame.put_u8(126);
            frame.put_u16(length);
        }
        (_, Err(_)) => {
            frame.put_u8(127);
            frame.put_u64(length as u64);
        }
    }
    for part in parts {
        frame.put_slice(part.as_bytes());
    }
    frame.freeze()
}

/// A short text frame as a client would send it, masked with zeros.
pub(super) fn client_text_frame(text: &str) -> BytesMut {
    let mut frame = BytesMut::from(&[FINAL_TEXT, 0x80][..]);
    if let (Some(length), Ok(text_length)) = (frame.get_mut(1), u8::try_from(text.len())) {
        debug_assert!(text_length < 126);
        *length |= text_length;
    }
    frame.put_u32(0);
    frame.put_slice(text.as_bytes());
    frame
}

/// Finds the first mark among whole frames: where its frame lies, and which gate it opens.
pub(super) fn find_mark(frames: &[u8]) -> Option<(Range<usize>, Gate)> {
    let mut start = 0;
    while let Some((payload, end)) = frames.get(start..).and_then(payload_of) {
        let payload = frames.get(start + payload.start..start + payload.end)?;
        if let Some(gate) = gate_of(payload) {
            return Some((start..start + end, gate));
        }
        start += end;
    }
    None
}

/// The frames but for the first, if that is the answer to a probe.
pub(super) fn without_probe_answer(frames: &[u8]) -> &[u8] {
    match payload_of(frames) {
        Some((payload, end)) if frames.get(payload.clone()).is_some_and(is_probe_answer) => {
            frames.get(end..).unwrap_or_default()
        }
        Some(_) | None => frames,
    }
}

/// Where the payload of the first frame lies, and where the frame ends.
pub(super) fn payload_of(frames: &[u8]) -> Option<(Range<usize>, usize)> {
    let (header, length) = match *frames.get(1)? {
        126 => (4, u64::from(u16::from_be_bytes(*frames.get(2..4)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*frames.get(2..10)?.first_chunk()?)),
        length => (2, u64::from(length)),
    };
    let end = usize::try_from(length).ok()?.checked_add(header)?;
    (end <= frames.len()).then_some((header..end, end))
}

/// The gate that a packet opens, if it is a mark: `42["mark",7]` or `42/namespace,["mark",7]`.
fn gate_of(payload: &[u8]) -> Option<Gate> {
    let packet = std::str::from_utf8(payload).ok()?.strip_prefix("42")?;
    let data = packet.get(packet.find('[')?..)?;
    let gate = data.strip_prefix("[\"")?.strip_prefix(MARK)?.strip_prefix("\",")?;
    gate.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_frame_of_every_length_is_read_back() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            let text = "x".repeat(length);
            let frame = text_frame(&[&text]);
            let (payload, end) = payload_of(&frame).unwrap();
            assert_eq!((payload.len(), end), (length, frame.len()));
            assert_eq!(&frame[payload], text.as_bytes());
        }
    }

    #[test]
    fn a_mark_is_found_among_other_frames() {
        let before = text_frame(&["42[\"", MARK, "\",\"not a gate\"]"]);
        let mark = text_frame(&["42/core/game,[\"", MARK, "\",7]"]);
        let after = text_frame(&["2"]);
        let frames = [&before[..], &mark[..], &after[..]].concat();
        assert_eq!(find_mark(&frames), Some((before.len()..before.len() + mark.len(), 7)));
        assert_eq!(find_mark(&before), None);
    }
}
