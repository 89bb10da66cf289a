//! Why nothing is read from a client for now.

/// One reason. Each ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It waits for its turn to join.
    Admission = 1,
    /// It was refused just now, and the library would ignore another attempt.
    Refusal = 2,
    /// An inbox of its connections is full.
    Congestion = 4,
}

/// The reasons that hold.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Pauses(u8);

impl Pauses {
    pub(super) fn add(&mut self, reason: Pause) {
        self.0 |= reason as u8;
    }

    pub(super) fn remove(&mut self, reason: Pause) {
        self.0 &= !(reason as u8);
    }

    pub(super) fn any(self) -> bool {
        self.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_goes_on_when_the_last_reason_has_ended() {
        let mut pauses = Pauses::default();
        for reason in [Pause::Admission, Pause::Refusal, Pause::Congestion, Pause::Refusal] {
            pauses.add(reason);
        }
        pauses.remove(Pause::Congestion);
        pauses.remove(Pause::Admission);
        assert!(pauses.any());
        pauses.remove(Pause::Refusal);
        assert!(!pauses.any());
    }
}
