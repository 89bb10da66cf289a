//! Which of the numbers 0, 1, 2, … have been seen: a window that moves on as they become complete.

use std::collections::VecDeque;

/// A set of numbers that is cheap as long as they come more or less in turn.
#[derive(Debug, Default)]
pub struct Seen {
    /// All numbers in the words before the first have been seen.
    complete_words: u32,
    words: VecDeque<u64>,
}

impl Seen {
    /// Adds a number. False if it was there.
    pub fn insert(&mut self, number: u32) -> bool {
        let Some(index) = (number / 64).checked_sub(self.complete_words) else { return false };
        let index = index as usize;
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        let Some(word) = self.words.get_mut(index) else { return false };
        let bit = 1 << (number % 64);
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.complete_words += 1;
        }
        true
    }

    /// The numbers below `end` that have not been seen.
    pub fn missing(&self, end: u32) -> impl Iterator<Item = u32> + '_ {
        let begin = self.complete_words * 64;
        (begin..end.max(begin)).filter(move |number| {
            let word = self.words.get((number - begin) as usize / 64);
            word.is_none_or(|word| word & (1 << (number % 64)) == 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_once() {
        let mut seen = Seen::default();
        for number in (0..200).rev() {
            assert!(seen.insert(number), "{number}");
        }
        for number in 0..200 {
            assert!(!seen.insert(number), "{number}");
        }
        assert_eq!(seen.missing(200).count(), 0);
        assert_eq!(seen.missing(203).collect::<Vec<_>>(), [200, 201, 202]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut seen = Seen::default();
        for number in 0..300 {
            if number != 7 && number != 130 {
                assert!(seen.insert(number));
            }
        }
        assert_eq!(seen.missing(300).collect::<Vec<_>>(), [7, 130]);
        assert_eq!(seen.missing(100).collect::<Vec<_>>(), [7]);
    }
}
