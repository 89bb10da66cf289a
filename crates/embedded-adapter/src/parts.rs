//! Large events are stored in parts that each fill a page.
//!
//! redb keeps an entry in one piece of its file. A large one needs pages side by side, which a file
//! full of small events does not have: it would grow although half of it is free.

use std::borrow::Cow;

use redb::{ReadableTable, Table};

use crate::fault::Fault;

/// How long a part is: with its key it fills a page.
const PART: usize = 4000;
/// The first byte of a head that is followed by parts. (A whole record begins with a brace.) Then
/// comes the number of parts, in two bytes.
const CONTINUED: u8 = 2;
const HEAD: usize = 3;

/// (Event number, part) → the bytes.
pub(crate) type PartsTable<'txn> = Table<'txn, (u64, u16), &'static [u8]>;

/// Splits a record into the head, which goes where whole records go, and the parts after it.
pub(crate) fn split(record: &[u8]) -> (Cow<'_, [u8]>, impl Iterator<Item = (u16, &[u8])>) {
    let count = u16::try_from(record.len().saturating_sub(1) / PART).unwrap_or_default();
    let (begin, rest) = record.split_at(record.len() - usize::from(count) * PART);
    let head = if count == 0 {
        Cow::Borrowed(record)
    } else {
        let [high, low] = count.to_be_bytes();
        Cow::Owned([&[CONTINUED, high, low], begin].concat())
    };
    (head, (0..).zip(rest.chunks(PART)))
}

/// How many parts follow a head.
pub(crate) fn count(head: &[u8]) -> u16 {
    match head {
        [CONTINUED, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

/// The whole record. If parts are missing it is too short, and its seal is wrong.
pub(crate) fn join<'a>(
    number: u64,
    head: &'a [u8],
    parts: &impl ReadableTable<(u64, u16), &'static [u8]>,
) -> Result<Cow<'a, [u8]>, Fault> {
    let count = count(head);
    if count == 0 {
        return Ok(Cow::Borrowed(head));
    }
    let mut record = Vec::with_capacity(head.len() + usize::from(count) * PART);
    record.extend_from_slice(head.get(HEAD..).unwrap_or_default());
    for part in parts.range((number, 0)..(number, count))? {
        record.extend_from_slice(part?.1.value());
    }
    Ok(Cow::Owned(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_any_length_is_split_into_whole_parts() {
        for length in [0, 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1, 17 * PART + 5] {
            let record = vec![b'x'; length];
            let (head, parts) = split(&record);
            let parts: Vec<_> = parts.collect();
            assert_eq!(usize::from(count(&head)), parts.len());
            assert!(parts.iter().all(|(_, part)| part.len() == PART), "{length}");
            let begin = if parts.is_empty() { head.len() } else { head.len() - HEAD };
            assert_eq!(begin + parts.len() * PART, length);
            assert!(begin <= PART && (begin > 0 || length == 0));
        }
    }
}
