//! Events are numbered from 1; this is how the numbers and positions translate.

use game_realtime_domain::Position;

/// The position of event `number`; of 0: before every event.
pub(crate) const fn position_of(number: u64) -> Position {
    if number == 0 { Position::START } else { Position::new(number, 1) }
}

/// The number of the last event at or before `position`.
pub(crate) const fn number_at(position: Position) -> u64 {
    if position.index == 0 { position.revision.saturating_sub(1) } else { position.revision }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_its_position() {
        for number in [0, 1, 2, u64::MAX] {
            assert_eq!(number_at(position_of(number)), number);
        }
    }

    #[test]
    fn the_position_before_an_event_is_at_the_one_before() {
        assert_eq!(number_at(Position::new(7, 0)), 6);
        assert_eq!(number_at(Position::after_revision(7)), 7);
        assert_eq!(number_at(Position::START), 0);
    }
}
