//! What one connection has received.

use crate::seen::Seen;

/// One connection: it receives what concerns everybody (stream 0) and what concerns its user
/// (stream 1).
#[derive(Debug)]
pub(crate) struct Receiver {
    /// The channel of its user.
    pub(crate) channel: u32,
    /// It has ended and will not come back.
    pub(crate) is_gone: bool,
    streams: [Stream; 2],
}

#[derive(Debug, Default)]
struct Stream {
    seen: Seen,
    /// After the position of what came last.
    next_position: u32,
}

impl Receiver {
    pub(crate) fn new(channel: u32) -> Self {
        Self { channel, is_gone: false, streams: [Stream::default(), Stream::default()] }
    }

    /// Something has arrived. False if it had arrived before.
    pub(crate) fn insert(&mut self, stream: usize, number: u32) -> bool {
        self.streams.get_mut(stream).is_some_and(|stream| stream.seen.insert(number))
    }

    /// Whether this position comes after all before.
    pub(crate) fn moves_on(&mut self, stream: usize, position: u32) -> bool {
        let Some(stream) = self.streams.get_mut(stream) else { return false };
        let is_after = position >= stream.next_position;
        stream.next_position = position + 1;
        is_after
    }

    /// The numbers below `end` that have not arrived.
    pub(crate) fn missing(&self, stream: usize, end: u32) -> impl Iterator<Item = u32> + '_ {
        self.streams.get(stream).into_iter().flat_map(move |stream| stream.seen.missing(end))
    }
}
