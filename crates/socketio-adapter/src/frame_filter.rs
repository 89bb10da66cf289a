//! The frames of a WebSocket on their way to the library, with the heads of their packets read first
//! ([`crate::packet_head`]).
//!
//! Almost all frames pass as they are, where they lie. Bytes are held back only while the head of a packet
//! is not complete, at the end of what was read or of a fragment.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::packet_head::{Head, HeadReader};

/// What is looked at of a frame where it lies, in bytes. Only longer heads are copied.
const GLANCE: usize = 256;

/// The longest head that is waited for, in bytes; a message with a longer one passes as it is.
const LONGEST_HEAD: usize = 64 * 1024;

/// The first byte of a text frame that is a whole message.
const TEXT: u8 = 0x81;
/// The first byte of a text frame with more to follow.
const TEXT_BEGINS: u8 = 0x01;
/// The bit of a first byte that ends a message.
const FINAL: u8 = 0x80;

/// Changes what the library must not read among the frames of a WebSocket, as they come.
pub(crate) struct FrameFilter {
    strip_queries: bool,
    /// The longest payload of a frame that the library reads; it refuses others by their headers.
    longest: usize,
    /// How much of a frame still passes as it is.
    passing: usize,
    /// What is held back.
    held: Option<Box<Held>>,
}

impl FrameFilter {
    /// `strip_queries` if the client may put its query into a connect packet.
    /// Frames with more than `longest` bytes are not looked at.
    pub(crate) fn new(strip_queries: bool, longest: usize) -> Self {
        Self { strip_queries, longest, passing: 0, held: None }
    }

    /// Takes what was read and returns what the library should read instead; `None` if it is the same.
    pub(crate) fn filter(&mut self, read: &[u8]) -> Option<Bytes> {
        let mut clean = if self.held.is_none() { self.pass(read) } else { 0 };
        if clean == read.len() && self.held.is_none() {
            return None;
        }
        let mut filtered = BytesMut::with_capacity(read.len());
        let mut rest = read;
        loop {
            filtered.put_slice(rest.get(..clean).unwrap_or_default());
            rest = rest.get(clean..).unwrap_or_default();
            if rest.is_empty() {
                return Some(filtered.freeze());
            }
            let (strip_queries, longest) = (self.strip_queries, self.longest);
            let held = self.held.get_or_insert_with(|| Box::new(Held::new(strip_queries, longest)));
            if let Some(left) = held.take(&mut rest, &mut filtered) {
                self.held = None;
                self.passing = left;
            }
            clean = if self.held.is_none() { self.pass(rest) } else { 0 };
        }
    }

    /// How many of these bytes pass as they are. What follows begins a frame.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let passing = self.passing.min(bytes.len() - at);
            at += passing;
            self.passing -= passing;
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(frame) = Frame::parse(rest) else { return at };
            let is_read = frame.begins_text() && frame.payload <= self.longest;
            if is_read && !self.is_plain(&frame, rest) {
                return at;
            }
            self.passing = frame.header.saturating_add(frame.payload);
        }
    }

    /// Whether a text frame shows, as far as it is there, that the library may read its message.
    fn is_plain(&self, frame: &Frame, bytes: &[u8]) -> bool {
        let mut glance = [0; GLANCE];
        let payload = bytes.get(frame.header..).unwrap_or_default();
        let seen = payload.len().min(frame.payload).min(GLANCE);
        for ((glance, byte), mask) in
            glance.iter_mut().zip(payload.iter().take(seen)).zip(frame.mask.iter().cycle())
        {
            *glance = byte ^ mask;
        }
        let is_whole = frame.is_final() && seen == frame.payload;
        let head = HeadReader::new(self.strip_queries)
            .read(glance.get(..seen).unwrap_or_default(), is_whole);
        head == Head::Plain
    }

    /// How many bytes it keeps for now.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.header.len() + held.message.len())
    }
}

/// A message whose head is not complete, or the beginning of a frame's header.
struct Held {
    head: HeadReader,
    longest: usize,
    /// The beginning of a frame's header.
    header: Vec<u8>,
    /// What came of the message, unmasked.
    message: Vec<u8>,
    /// The frame of the message that is being read; `None` before the first.
    frame: Option<Frame>,
    /// How much of that frame is still to come.
    left: usize,
    /// How much of a control frame among those of the message is still to come.
    control: usize,
}

impl Held {
    fn new(strip_queries: bool, longest: usize) -> Self {
        Self {
            head: HeadReader::new(strip_queries),
            longest,
            header: Vec::new(),
            message: Vec::new(),
            frame: None,
            left: 0,
            control: 0,
        }
    }

    /// Takes bytes. Once nothing has to be held any more it is all in `filtered`, and how much of the last
    /// frame passes as it is is returned.
    fn take(&mut self, bytes: &mut &[u8], filtered: &mut BytesMut) -> Option<usize> {
        loop {
            if self.control > 0 {
                // All frames of the message are held, so it stands between whole frames.
                let control = split(bytes, self.control);
                filtered.put_slice(control);
                self.control -= control.len();
            } else if self.left > 0 {
                if let Some(released) = self.take_payload(bytes, filtered) {
                    return Some(released);
                }
            } else if let Some(frame) = self.take_header(bytes) {
                let is_read = frame.payload <= self.longest;
                match &self.frame {
                    None if is_read && frame.begins_text() => {}
                    Some(_) if is_read && frame.continues() => {}
                    Some(_) if frame.is_control() => {
                        filtered.put_slice(&self.header);
                        self.header.clear();
                        self.control = frame.payload;
                        continue;
                    }
                    // Not a message that is read here, or no message at all.
                    None | Some(_) => {
                        if self.frame.is_some() {
                            put_frame(filtered, TEXT_BEGINS, &self.message);
                        }
                        filtered.put_slice(&self.header);
                        return Some(frame.payload);
                    }
                }
                self.header.clear();
                self.left = frame.payload;
                let is_empty = frame.payload == 0;
                self.frame = Some(frame);
                if is_empty && let Some(released) = self.release(filtered) {
                    return Some(released);
                }
            }
            if bytes.is_empty() {
                return None;
            }
        }
    }

    /// Takes what is there of a header; the frame, once all of it is.
    fn take_header(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::parse(&self.header) {
                return Some(frame);
            }
            self.header.push(*split(bytes, 1).first()?);
        }
    }

    fn take_payload(&mut self, bytes: &mut &[u8], filtered: &mut BytesMut) -> Option<usize> {
        let frame = self.frame.as_mut()?;
        let payload = split(bytes, self.left);
        let mask = frame.mask;
        self.message
            .extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame.mask.rotate_left(payload.len() % 4);
        self.left -= payload.len();
        self.release(filtered)
    }

    /// Writes what is held, if its head is complete.
    fn release(&mut self, filtered: &mut BytesMut) -> Option<usize> {
        let frame = self.frame.as_ref()?;
        let is_whole = frame.is_final() && self.left == 0;
        match self.head.read(&self.message, is_whole) {
            Head::Incomplete if self.message.len() < LONGEST_HEAD => return None,
            Head::Incomplete | Head::Plain => {}
            Head::Edited(edit) => self.message = edit.apply(&self.message),
        }
        put_frame(filtered, if is_whole { TEXT } else { TEXT_BEGINS }, &self.message);
        if self.left > 0 {
            put_header(filtered, frame.first & FINAL, self.left, frame.mask);
        }
        Some(self.left)
    }
}

/// Splits off the first bytes, at most `most`.
fn split<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (first, rest) = bytes.split_at_checked(most).unwrap_or((*bytes, &[]));
    *bytes = rest;
    first
}

/// The header of a frame from a client: RFC 6455, section 5.2.
struct Frame {
    first: u8,
    is_masked: bool,
    mask: [u8; 4],
    /// Its own length, the mask included.
    header: usize,
    /// The length of what follows it.
    payload: usize,
}

impl Frame {
    /// `None` if it is not complete.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let [first, second, ..] = *bytes else { return None };
        let is_masked = second & 0x80 != 0;
        let (length_bytes, payload) = match second & 0x7f {
            126 => (2, u64::from(u16::from_be_bytes(*bytes.get(2..4)?.first_chunk()?))),
            127 => (8, u64::from_be_bytes(*bytes.get(2..10)?.first_chunk()?)),
            length => (0, u64::from(length)),
        };
        let mask = 2 + length_bytes;
        let header = if is_masked { mask + 4 } else { mask };
        let mask = if is_masked { *bytes.get(mask..header)?.first_chunk()? } else { [0; 4] };
        // A length beyond memory is for the library to refuse; it passes.
        let payload = usize::try_from(payload).unwrap_or(usize::MAX);
        Some(Self { first, is_masked, mask, header, payload })
    }

    fn is_final(&self) -> bool {
        self.first & FINAL != 0
    }

    /// Whether it begins a text, masked, as it has to be.
    fn begins_text(&self) -> bool {
        matches!(self.first, TEXT | TEXT_BEGINS) && self.is_masked
    }

    fn continues(&self) -> bool {
        matches!(self.first, 0 | FINAL) && self.is_masked
    }

    fn is_control(&self) -> bool {
        self.first & 0x08 != 0
    }
}

/// Writes a frame as a client would, masked with zeros.
fn put_frame(frames: &mut BytesMut, first: u8, payload: &[u8]) {
    put_header(frames, first, payload.len(), [0; 4]);
    frames.put_slice(payload);
}

fn put_header(frames: &mut BytesMut, first: u8, length: usize, mask: [u8; 4]) {
    frames.put_u8(first);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..126), _) => frames.put_u8(0x80 | length),
        (_, Ok(length)) => {
            frames.put_u8(0x80 | 126);
            frames.put_u16(length);
        }
        (_, Err(_)) => {
            frames.put_u8(0x80 | 127);
            frames.put_u64(length as u64);
        }
    }
    frames.put_slice(&mask);
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

    /// The first byte of a message, and its payload.
    type Message = (u8, Vec<u8>);

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = BytesMut::new();
        put_header(&mut frame, first, payload.len(), MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame.to_vec()
    }

    /// What comes out for input that is read in pieces of this size.
    fn filtered(input: &[u8], size: usize) -> Vec<u8> {
        let mut filter = FrameFilter::new(true, usize::MAX);
        let chunks = input.chunks(size);
        let filtered = chunks.flat_map(|read| {
            filter.filter(read).map_or_else(|| read.to_vec(), |filtered| filtered.to_vec())
        });
        filtered.collect()
    }

    /// The messages and control frames that are written, with their first bytes.
    pub(crate) fn messages(mut frames: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let (mut messages, mut open): (Vec<Message>, Option<Message>) = (vec![], None);
        while let Some(frame) = Frame::parse(frames) {
            let payload = &frames[frame.header..frame.header + frame.payload];
            let payload = payload.iter().zip(frame.mask.iter().cycle()).map(|(a, b)| a ^ b);
            frames = &frames[frame.header + frame.payload..];
            if frame.is_control() {
                messages.push((frame.first, payload.collect()));
                continue;
            }
            let (_, message) = open.get_or_insert((frame.first | FINAL, Vec::new()));
            message.extend(payload);
            if frame.is_final() {
                messages.extend(open.take());
            }
        }
        assert!(frames.is_empty() && open.is_none(), "nothing is cut off");
        messages
    }

    #[test]
    fn frames_that_need_no_change_pass_where_they_lie() {
        let event = br#"42["core.game.state.broadcast",{"message":"a\nb"}]"#;
        let input = [frame(TEXT, event), frame(0x82, b"42[\"\\n\"]"), frame(0x89, b"")].concat();
        let mut filter = FrameFilter::new(true, usize::MAX);
        assert_eq!(filter.filter(&input), None);
        let large = frame(TEXT, &[&event[..], &[b'x'; 10_000]].concat());
        for read in large.chunks(100) {
            assert_eq!(filter.filter(read), None, "a head that is there is not held");
        }
    }

    #[test]
    fn frames_are_filtered_however_they_are_cut_and_fragmented() {
        let connect = format!("40/core/guest?token={},{{}}", "x".repeat(6000));
        let name = br#"42/core/guest,7["a\u0000b",{"message":"what?\n"}]"#;
        let long_name = format!("42[\"{}\",1]", "\\u00e9".repeat(1000));
        let read: [(&[u8], Vec<u8>); 5] = [
            (connect.as_bytes(), b"40/core/guest,{}".to_vec()),
            (name, "42/core/guest,7[\"a\u{fdd0}b\",{\"message\":\"what?\\n\"}]".into()),
            (long_name.as_bytes(), format!("42[\"{}\",1]", "é".repeat(1000)).into_bytes()),
            (b"42[\"what?\"]", b"42[\"what?\"]".to_vec()),
            (b"2", b"2".to_vec()),
        ];
        for fragment in [1, 2, 5, 16, 100, 5000, usize::MAX] {
            let (mut input, mut expected) = (Vec::new(), Vec::new());
            for (message, read) in &read {
                let fragments: Vec<_> = message.chunks(fragment).collect();
                for (number, payload) in fragments.iter().enumerate() {
                    let first = if number == 0 { TEXT_BEGINS } else { 0 };
                    let last = if number + 1 == fragments.len() { FINAL } else { 0 };
                    input.extend(frame(first | last, payload));
                    if last == 0 {
                        input.extend(frame(0x89, b"ping"));
                    }
                }
                input.extend(frame(0x82, b"42[\"\\n\"]"));
                expected.push((TEXT, read.clone()));
                expected.push((0x82, b"42[\"\\n\"]".to_vec()));
            }
            for size in [1, 2, 3, 7, 100, 512, 5000, input.len()] {
                let output = messages(&filtered(&input, size));
                let pings = output.iter().filter(|(first, _)| *first == 0x89).count();
                let sent = messages(&input).iter().filter(|(first, _)| *first == 0x89).count();
                assert_eq!(pings, sent, "fragments of {fragment}, cut into {size}");
                let output: Vec<_> =
                    output.into_iter().filter(|(first, _)| *first != 0x89).collect();
                assert!(output == expected, "fragments of {fragment}, cut into {size}");
            }
        }
    }

    #[test]
    fn what_breaks_the_protocol_reaches_the_library() {
        let name = br#"42["a\n",1]"#;
        let mut unmasked = vec![TEXT, u8::try_from(name.len()).unwrap()];
        unmasked.extend(name);
        let compressed = frame(0xc1, name);
        for input in [unmasked, compressed] {
            for size in [1, 5, input.len()] {
                assert_eq!(filtered(&input, size), input);
            }
        }
        let another = [frame(TEXT_BEGINS, b"42[\"a"), frame(TEXT, b"2")].concat();
        let passed = filtered(&another, another.len());
        assert!(passed.ends_with(&frame(TEXT, b"2")), "{passed:?}");
        assert_eq!(passed.first(), Some(&TEXT_BEGINS));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut filter = FrameFilter::new(true, usize::MAX);
        let endless = frame(TEXT, &[b"42[\"", &vec![b'x'; 1 << 20][..]].concat());
        for read in endless.chunks(512) {
            filter.filter(read);
            assert!(filter.held() <= LONGEST_HEAD + 14);
        }
    }
}
