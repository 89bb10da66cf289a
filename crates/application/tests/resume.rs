//! What a client brings as its cursor is believed exactly if it was given out as one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use game_realtime_application::Resume;
use game_realtime_domain::{Cursor, Epoch, Position};
use proptest::{prelude::*, sample::Index};

fn cursors() -> impl Strategy<Value = Cursor> {
    // Small numbers too, where a digit more or less makes another valid one.
    let revision = prop_oneof![0..200_u64, any::<u64>()];
    let index = prop_oneof![0..200_u32, any::<u32>()];
    ("[0-9a-zA-Z]{1,64}", revision, index).prop_map(|(epoch, revision, index)| Cursor {
        epoch: Epoch::parse(epoch).unwrap(),
        position: Position::new(revision, index),
    })
}

/// One slip of whoever copied a cursor.
#[derive(Debug, Clone)]
enum Slip {
    Insert(Index, char),
    Remove(Index),
    Replace(Index, char),
    Cut(Index),
}

fn slips() -> impl Strategy<Value = Slip> {
    // What looks like a cursor's own characters, or does to somebody: other digits, blanks.
    let characters = prop::sample::select("019aZ:.+-_ \n\u{0}é１٣".chars().collect::<Vec<_>>());
    prop_oneof![
        (any::<Index>(), characters.clone())
            .prop_map(|(at, character)| Slip::Insert(at, character)),
        any::<Index>().prop_map(Slip::Remove),
        (any::<Index>(), characters).prop_map(|(at, character)| Slip::Replace(at, character)),
        any::<Index>().prop_map(Slip::Cut),
    ]
}

fn with_slip(text: &str, slip: &Slip) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let length = characters.len();
    match slip {
        Slip::Insert(at, character) => characters.insert(at.index(length + 1), *character),
        Slip::Remove(at) => drop(characters.remove(at.index(length))),
        Slip::Replace(at, character) => characters[at.index(length)] = *character,
        Slip::Cut(at) => characters.truncate(at.index(length)),
    }
    characters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_cursor_that_was_given_out_is_resumed_from(cursor in cursors()) {
        prop_assert_eq!(Resume::parse(Some(&cursor.to_string())), Resume::From(cursor));
    }

    #[test]
    fn a_cursor_with_a_slip_is_another_ones_text_or_malformed(
        cursor in cursors(),
        slips in prop::collection::vec(slips(), 1..4),
    ) {
        let text = slips.iter().fold(cursor.to_string(), |text, slip| {
            if text.is_empty() { text } else { with_slip(&text, slip) }
        });
        match Resume::parse(Some(&text)) {
            Resume::From(other) => prop_assert_eq!(other.to_string(), text),
            Resume::Malformed => {}
            Resume::Fresh => prop_assert!(false, "{text:?} was not looked at"),
        }
    }

    #[test]
    fn no_text_at_all_can_do_harm(text in "\\PC{0,200}") {
        if let Resume::From(cursor) = Resume::parse(Some(&text)) {
            prop_assert_eq!(cursor.to_string(), text);
        }
    }
}

#[test]
fn no_cursor_is_a_fresh_start_and_an_empty_one_is_malformed() {
    assert_eq!(Resume::parse(None), Resume::Fresh);
    assert_eq!(Resume::parse(Some("")), Resume::Malformed);
}
