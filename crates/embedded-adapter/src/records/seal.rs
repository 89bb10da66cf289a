//! A checksum at the end of every record.
//!
//! redb verifies checksums only when it is asked to check a whole file, which takes too long for a
//! large one. With a seal, a record that was damaged on the disk, or that stands under another key,
//! is noticed whenever it is read.

/// The last byte of a sealed record. Records of format 1 have no seal: they are JSON objects and
/// end with a brace.
const SEALED: u8 = 1;
/// An odd number without structure: the fraction of the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The record with the seal of its key.
pub(super) fn close(key: &[u8], record: &[u8]) -> Vec<u8> {
    let seal = checksum(key, record).to_be_bytes();
    let mut sealed = Vec::with_capacity(record.len() + seal.len() + 1);
    sealed.extend_from_slice(record);
    sealed.extend_from_slice(&seal);
    sealed.push(SEALED);
    sealed
}

/// The record without its seal; `None` if the seal is not that of this key and record.
pub(super) fn open<'a>(key: &[u8], stored: &'a [u8]) -> Option<&'a [u8]> {
    let Some((&SEALED, sealed)) = stored.split_last() else { return Some(stored) };
    let (record, seal) = sealed.split_last_chunk()?;
    (u64::from_be_bytes(*seal) == checksum(key, record)).then_some(record)
}

/// Every step is reversible, so that a change within one word of eight bytes always changes the sum.
fn checksum(key: &[u8], record: &[u8]) -> u64 {
    let mut sum = (key.len() as u64) ^ (record.len() as u64).rotate_left(32);
    for part in [key, record] {
        let (words, rest) = part.as_chunks::<8>();
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        for word in words.iter().chain([&last]) {
            sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(29);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_breaks_the_seal_or_the_record() {
        let record = br#"{"message":"hi","number":12}"#;
        let sealed = close(b"key", record);
        assert_eq!(open(b"key", &sealed), Some(&record[..]));
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = open(b"key", &damaged);
            let is_json =
                read.is_some_and(|read| serde_json::from_slice::<serde_json::Value>(read).is_ok());
            assert!(!is_json, "bit {bit}");
        }
    }

    #[test]
    fn a_record_under_another_key_is_noticed() {
        let sealed = close(&7_u64.to_be_bytes(), b"{}");
        assert_eq!(open(&8_u64.to_be_bytes(), &sealed), None);
        assert_eq!(open(b"", &sealed), None);
    }

    #[test]
    fn a_record_of_format_1_needs_no_seal() {
        assert_eq!(open(b"key", b"{}"), Some(&b"{}"[..]));
    }
}
