//! Connections that were kicked before they joined.

use std::collections::VecDeque;

use game_realtime_domain::ConnectionId;

/// Remembers them until they join or leave. They are few: joining takes a moment.
#[derive(Default)]
pub(super) struct Kicked(VecDeque<ConnectionId>);

impl Kicked {
    /// So many are remembered at most, the latest. Some that have ended at the same moment stay
    /// until others take their places.
    const MOST: usize = 1024;

    pub(super) fn add(&mut self, id: ConnectionId) {
        if self.0.contains(&id) {
            return;
        }
        if self.0.len() == Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(id);
    }

    /// Forgets a connection; whether it was one of them.
    pub(super) fn remove(&mut self, id: ConnectionId) -> bool {
        let place = self.0.iter().position(|other| *other == id);
        place.is_some_and(|place| self.0.remove(place).is_some())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_latest_are_remembered_until_they_are_removed() {
        let id = |number: usize| ConnectionId(Uuid::from_u128(number as u128));
        let mut kicked = Kicked::default();
        for number in 0..=Kicked::MOST {
            kicked.add(id(number));
            kicked.add(id(number));
        }
        assert!(!kicked.remove(id(0)));
        assert!(kicked.remove(id(1)));
        assert!(!kicked.remove(id(1)));
        assert!(kicked.remove(id(Kicked::MOST)));
        assert_eq!(kicked.0.len(), Kicked::MOST - 2);
    }
}
