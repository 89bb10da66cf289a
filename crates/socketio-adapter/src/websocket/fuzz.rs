//! The frames that the library writes, among which marks are found.

use game_realtime_fuzz::{
    Broken, below,
    bolero::{Driver, ValueGenerator},
    fuzz,
};

use super::{MARK, frame::find_mark, text_frame};

const PAYLOADS: Broken = Broken::bytes(
    &["2", "42[\"core.game.state.broadcast\",{\"message\":\"hello\"}]", "0{\"sid\":\"a\"}", ""],
    &[
        "42[\"core.game.connection.mark\",7]",
        "core.game.connection.mark",
        "[",
        "\"",
        "42",
        "é",
        "/core/game,",
    ],
);

#[derive(Debug)]
enum Part {
    Frame(Vec<u8>),
    Mark(u32, bool),
}

struct Parts;

impl ValueGenerator for Parts {
    type Output = Vec<Part>;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Vec<Part>> {
        let count = below(driver, 6)?;
        (0..count)
            .map(|_| {
                Some(match below(driver, 4)? {
                    0 => Part::Mark(driver.produce()?, driver.produce()?),
                    _ => {
                        let payload = PAYLOADS.generate(driver)?;
                        let text = String::from_utf8_lossy(&payload).into_owned();
                        Part::Frame(text_frame(&[&text]).to_vec())
                    }
                })
            })
            .collect()
    }
}

#[test]
fn the_first_mark_is_found_wherever_it_is() {
    fuzz!(Parts, |parts: &Vec<Part>| {
        let (mut bytes, mut first) = (Vec::new(), None);
        for part in parts {
            match part {
                Part::Frame(frame) => bytes.extend(frame),
                Part::Mark(gate, named) => {
                    let namespace = if *named { "/core/game/guest," } else { "" };
                    let frame =
                        text_frame(&["42", namespace, "[\"", MARK, "\",", &gate.to_string(), "]"]);
                    first = first.or(Some((bytes.len()..bytes.len() + frame.len(), *gate)));
                    bytes.extend(frame);
                }
            }
        }
        // A payload may happen to be a mark, which it then is.
        match (find_mark(&bytes), first) {
            (Some((found, _)), Some((first, _))) if found.start < first.start => false,
            (found @ Some(_), None) => found.is_none(),
            (found, first) => {
                assert_eq!(found, first);
                found.is_some()
            }
        }
    });
}

/// Frames with lengths that may not be true.
struct Heads;

impl ValueGenerator for Heads {
    type Output = Vec<u8>;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for _ in 0..below(driver, 4)? {
            let payload = PAYLOADS.generate(driver)?;
            let length = match below(driver, 3)? {
                0 => payload.len() as u64,
                1 => u64::MAX - below(driver, 20)? as u64,
                _ => driver.produce::<u64>()? >> below(driver, 64)?,
            };
            let [.., a, b] = length.to_be_bytes();
            bytes.push(0x81);
            match below(driver, 3)? {
                0 => bytes.push(b),
                1 => bytes.extend([126, a, b]),
                _ => bytes.extend([&[127][..], &length.to_be_bytes()].concat()),
            }
            bytes.extend(payload);
        }
        Some(bytes)
    }
}

#[test]
fn what_are_no_frames_is_no_trouble() {
    fuzz!(Heads, |bytes: &Vec<u8>| {
        let found = find_mark(bytes);
        if let Some((range, _)) = &found {
            assert!(range.start < range.end && range.end <= bytes.len(), "{range:?}");
        }
        found.is_some()
    });
}
