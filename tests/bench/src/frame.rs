//! WebSocket frames (RFC 6455, section 5.2), as far as Socket.IO needs them: whole, short ones.

use std::io;

/// The first byte of a frame that is a whole text.
const TEXT: u8 = 0x81;
/// In the second byte of a frame from a client.
const MASKED: u8 = 0x80;
/// With this key the payload stays as it is.
const KEY: [u8; 4] = [0; 4];

/// A text as a client sends it.
///
/// # Panics
/// When it is longer than 64 KiB.
#[must_use]
pub fn text(payload: &str) -> Vec<u8> {
    let mut frame = vec![TEXT];
    match u8::try_from(payload.len()) {
        Ok(length @ 0..126) => frame.push(MASKED | length),
        _ => {
            frame.push(MASKED | 126);
            let length = u16::try_from(payload.len()).expect("a short text");
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.as_bytes());
    frame
}

/// Splits the first frame off: its text, and what follows. `None` while it is not complete.
///
/// # Errors
/// When the frame is no text, as when the server says goodbye.
pub fn split_first(frames: &[u8]) -> io::Result<Option<(&str, &[u8])>> {
    let Some((header, rest)) = frames.split_first_chunk::<2>() else { return Ok(None) };
    let [first, length] = *header;
    if first != TEXT {
        return Err(io::Error::other(format!("a frame that begins with {first:#x}")));
    }
    let (length, rest) = match length {
        126 => {
            let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        0..126 => (usize::from(length), rest),
        127.. => return Err(io::Error::other("a frame of more than 64 KiB, or masked")),
    };
    let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    let text = std::str::from_utf8(payload).map_err(io::Error::other)?;
    Ok(Some((text, rest)))
}
