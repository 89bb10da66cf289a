//! What was found that must not be: how often, and the first few in words.

use std::{collections::BTreeMap, fmt};

/// How many are described.
const DESCRIBED: usize = 12;

/// A promise that was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breach {
    /// A committed event that a recipient did not receive.
    Lost,
    /// An event that a recipient received again, or that was committed again.
    Twice,
    /// An event that came after a later one.
    OutOfOrder,
    /// An event that is not for its receiver, or that nobody has sent.
    Misdirected,
    /// An event with another cursor here than there.
    Inconsistent,
    /// A `gap` although the log has to hold all that was missed, or a resume from elsewhere.
    FalseGap,
    /// An event that was never answered although its connection lived.
    Unanswered,
    /// An event that was refused for good, or answered with nonsense.
    RefusedForGood,
    /// A client that could not come back before the end.
    NotBack,
}

/// All that was found.
#[derive(Debug, Default)]
pub struct Breaches {
    counts: BTreeMap<Breach, u64>,
    described: Vec<String>,
}

impl Breaches {
    pub(super) fn add(&mut self, breach: Breach, describe: impl FnOnce() -> String) {
        *self.counts.entry(breach).or_default() += 1;
        if self.described.len() < DESCRIBED {
            self.described.push(format!("{breach:?}: {}", describe()));
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (breach, count) in other.counts {
            *self.counts.entry(breach).or_default() += count;
        }
        self.described.extend(other.described);
    }

    /// How many of one kind.
    #[must_use]
    pub fn count(&self, breach: Breach) -> u64 {
        self.counts.get(&breach).copied().unwrap_or_default()
    }

    /// Of those kinds that are not named.
    pub(super) fn others(&self, but: &[Breach]) -> u64 {
        self.counts.iter().filter(|(breach, _)| !but.contains(breach)).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Breaches {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.counts)?;
        for line in &self.described {
            write!(formatter, "\n  {line}")?;
        }
        Ok(())
    }
}
