//! WebSocket frames (RFC 6455, section 5.2), as far as Socket.IO needs them: whole ones.

/// A frame that is a whole text.
pub const TEXT: u8 = 0x81;
/// A frame that closes.
pub const CLOSE: u8 = 0x88;
/// A ping of the WebSocket (Engine.IO has its own).
pub const PING: u8 = 0x89;
/// Its answer.
pub const PONG: u8 = 0x8a;
/// In the second byte of a frame from a client.
const MASKED: u8 = 0x80;
/// Longer ones are taken for nonsense.
const LONGEST: usize = 64 << 20;

/// A frame of a server's.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its first byte.
    pub first: u8,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Bytes that are no frame which a server sends a client without extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A part of a message; Socket.IO servers send whole ones.
    #[error("a fragmented frame")]
    Fragmented,
    /// Compressed, or of an unknown kind.
    #[error("a frame of an unknown kind: {0:#x}")]
    Unknown(u8),
    /// Servers do not mask.
    #[error("a masked frame")]
    Masked,
    /// More than 64 MiB.
    #[error("a frame of {0} bytes")]
    Long(u64),
}

/// Appends a frame as a client sends it, masked with `key`.
pub fn append(out: &mut Vec<u8>, first: u8, payload: &[u8], key: [u8; 4]) {
    out.push(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..126), _) => out.push(MASKED | length),
        (_, Ok(length)) => {
            out.push(MASKED | 126);
            out.extend(length.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(MASKED | 127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend(key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Splits the first frame off what a server has sent: the frame, and what follows. `None` while it
/// is not complete.
///
/// # Errors
/// When this is no whole, plain frame of a server.
pub fn split_first(bytes: &[u8]) -> Result<Option<(Frame<'_>, &[u8])>, FrameError> {
    let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
    if second & MASKED != 0 {
        return Err(FrameError::Masked);
    }
    let (length, rest) = match second {
        127 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from_be_bytes(*length), rest),
            None => return Ok(None),
        },
        126 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
            None => return Ok(None),
        },
        length => (u64::from(length), rest),
    };
    match first {
        TEXT | CLOSE | PING | PONG | 0x82 => {}
        0x00..=0x02 | 0x80 => return Err(FrameError::Fragmented),
        first => return Err(FrameError::Unknown(first)),
    }
    let short = usize::try_from(length).ok().filter(|length| *length <= LONGEST);
    let length = short.ok_or(FrameError::Long(length))?;
    let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    Ok(Some((Frame { first, payload }, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_frame_is_masked() {
        let mut out = Vec::new();
        append(&mut out, TEXT, b"abcde", [1, 2, 3, 4]);
        assert_eq!(out, [0x81, 0x85, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, b'c' ^ 3, b'd' ^ 4, b'e' ^ 1]);
    }

    #[test]
    fn lengths_have_three_forms() {
        for (length, header) in [(125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let mut out = Vec::new();
            append(&mut out, TEXT, &vec![7; length], [0; 4]);
            assert_eq!(out.len(), header + 4 + length);
            // A server's frame is the same without mask.
            out[1] &= !MASKED;
            out.drain(header..header + 4);
            assert_eq!(split_first(&out[..out.len() - 1]), Ok(None));
            let (frame, rest) = split_first(&out).unwrap().unwrap();
            assert_eq!((frame.payload.len(), rest.len()), (length, 0));
        }
    }

    #[test]
    fn what_no_server_sends_is_an_error() {
        assert_eq!(split_first(&[TEXT, 0x81, 0, 0, 0, 0, 7]), Err(FrameError::Masked));
        assert_eq!(split_first(&[0x01, 1, 7]), Err(FrameError::Fragmented));
        assert_eq!(split_first(&[0xc1, 1, 7]), Err(FrameError::Unknown(0xc1)));
    }
}
