//! What things take of the process' memory.

/// What an allocation of `bytes` takes: common allocators add a header of one word and round up.
pub(crate) const fn heap(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 8).next_multiple_of(16) }
}

/// What stands in front of a shared value: the counts of those who hold it.
pub(crate) const COUNTS: usize = 16;
