//! What an event carries in its text, so that who receives it knows which one it is and when it
//! should have been sent.

use std::io::Write as _;

use crate::clock::Micros;

/// The mark of one event. In text: `~run.event.due~`, hexadecimal and of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The run of the load generator that sent it.
    pub run: u32,
    /// Its number in that run.
    pub event: u32,
    /// When it was due, by the clock of that run.
    pub due: Micros,
}

/// Bytes of a stamp.
pub const LENGTH: usize = 1 + 8 + 1 + 8 + 1 + 12 + 1;
const DELIMITER: u8 = b'~';

impl Stamp {
    /// Appends the text.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Self { run, event, due } = self;
        // Writing to memory does not fail.
        write!(out, "~{run:08x}.{event:08x}.{due:012x}~").ok();
    }

    /// The first stamp in a packet.
    #[must_use]
    pub fn find(mut bytes: &[u8]) -> Option<Self> {
        loop {
            let at = memchr::memchr(DELIMITER, bytes)?;
            if let Some(stamp) = bytes.get(at..at + LENGTH).and_then(Self::read) {
                return Some(stamp);
            }
            bytes = bytes.get(at + 1..)?;
        }
    }

    fn read(text: &[u8]) -> Option<Self> {
        if text.last() != Some(&DELIMITER)
            || text.get(9) != Some(&b'.')
            || text.get(18) != Some(&b'.')
        {
            return None;
        }
        Some(Self {
            run: u32::try_from(hexadecimal(text.get(1..9)?)?).ok()?,
            event: u32::try_from(hexadecimal(text.get(10..18)?)?).ok()?,
            due: hexadecimal(text.get(19..31)?)?,
        })
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_where_it_was_written() {
        let stamp = Stamp { run: 0xdead_beef, event: 42, due: 1_000_000_007 };
        let mut text = b"42[\"x\",{\"message\":\"a ~ b ~".to_vec();
        stamp.write(&mut text);
        text.extend(b"mmm\"}]");
        assert_eq!(Stamp::find(&text), Some(stamp));
        assert_eq!(Stamp::find(&text[..text.len() - 8]), None);
        assert_eq!(Stamp::find(b"nothing"), None);
    }
}
