//! Engine.IO 4 packets and the Socket.IO packets in them, read no further than is needed.

/// A packet of a server's.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Engine.IO is open.
    Open,
    /// Engine.IO asks for a sign of life.
    Ping,
    /// Engine.IO ends.
    Close,
    /// The namespace is joined.
    Connected,
    /// The namespace refuses; with what it says.
    Refused(&'a [u8]),
    /// The namespace sends the client away.
    Disconnected,
    /// An event: its name, and its arguments as they are.
    Event(&'a [u8], &'a [u8]),
    /// The answer to the event that was sent with this number; its arguments.
    Answer(u32, &'a [u8]),
    /// What does not matter here.
    Other,
}

impl<'a> Packet<'a> {
    /// Reads the text of a frame.
    #[must_use]
    pub fn read(text: &'a [u8]) -> Self {
        match text {
            [b'0', ..] => Self::Open,
            [b'1', ..] => Self::Close,
            [b'2'] => Self::Ping,
            [b'4', kind, rest @ ..] => Self::read_socketio(*kind, after_namespace(rest)),
            _ => Self::Other,
        }
    }

    fn read_socketio(kind: u8, rest: &'a [u8]) -> Self {
        match kind {
            b'0' => Self::Connected,
            b'1' => Self::Disconnected,
            b'4' => Self::Refused(rest),
            b'2' => {
                let (_, rest) = split_number(rest);
                let Some(rest) = rest.strip_prefix(b"[\"") else { return Self::Other };
                let Some(end) = memchr::memchr(b'"', rest) else { return Self::Other };
                let (name, arguments) = rest.split_at(end);
                Self::Event(name, arguments)
            }
            b'3' => match split_number(rest) {
                (Some(number), arguments) => Self::Answer(number, arguments),
                (None, _) => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

/// Drops `/namespace,`.
fn after_namespace(rest: &[u8]) -> &[u8] {
    if rest.first() != Some(&b'/') {
        return rest;
    }
    let comma = memchr::memchr(b',', rest).unwrap_or(rest.len());
    rest.get(comma + 1..).unwrap_or_default()
}

fn split_number(rest: &[u8]) -> (Option<u32>, &[u8]) {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = rest.split_at(digits);
    (std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_apart() {
        let read = |text: &'static str| Packet::read(text.as_bytes());
        assert_eq!(read("0{\"sid\":\"x\"}"), Packet::Open);
        assert_eq!(read("2"), Packet::Ping);
        assert_eq!(read("40{\"sid\":\"x\"}"), Packet::Connected);
        assert_eq!(read("40/core/x,{\"sid\":\"x\"}"), Packet::Connected);
        assert_eq!(read("44/x,{\"message\":\"m\"}"), Packet::Refused(b"{\"message\":\"m\"}"));
        assert_eq!(read("42[\"a\",{}]"), Packet::Event(b"a", b"\",{}]"));
        assert_eq!(read("42/x,[\"a\"]"), Packet::Event(b"a", b"\"]"));
        assert_eq!(read("43/x,17[{}]"), Packet::Answer(17, b"[{}]"));
        assert_eq!(read("4317[]"), Packet::Answer(17, b"[]"));
        assert_eq!(read("41"), Packet::Disconnected);
        assert_eq!(read("6"), Packet::Other);
        assert_eq!(read(""), Packet::Other);
    }
}
