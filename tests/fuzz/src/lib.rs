//! What fuzz targets stand on.
//!
//! A target is a test in the module `fuzz` of a crate, so that it sees what the crate keeps to itself:
//!
//! ```
//! use game_realtime_fuzz::{Broken, fuzz};
//!
//! fn a_number_survives_its_text() {
//!     fuzz!(Broken::text(&["17"], &["0", "-", "9999999999"]), |text: &String| {
//!         let Ok(number) = text.parse::<u64>() else { return false };
//!         assert_eq!(number.to_string().parse(), Ok(number));
//!         true
//!     });
//! }
//! # a_number_survives_its_text();
//! ```
//!
//! It says what has to hold for whatever comes, and returns whether the input was taken for what it
//! should be: a target that never gets through, or always does, tests little. `just test` gives every
//! target [`INPUTS`], `just fuzz` as many as it is told, and lists how many got through.

mod broken;
mod target;

pub use std::panic::AssertUnwindSafe;

pub use bolero;
pub use broken::{Broken, BrokenText, below};
pub use target::Target;

/// Inputs for each target, if nobody says how many.
pub const INPUTS: usize = 2000;

/// Runs a target: a generator, and a function of its output that returns whether it got through. The
/// third argument makes expensive targets do with so many times fewer inputs.
#[macro_export]
macro_rules! fuzz {
    ($generator:expr, $check:expr) => {
        $crate::fuzz!($generator, $check, 1)
    };
    ($generator:expr, $check:expr, $times_fewer:expr) => {{
        let target = $crate::Target::begin(file!(), $times_fewer);
        // What fails is not used again.
        let check = $crate::AssertUnwindSafe($check);
        $crate::bolero::check!()
            .with_iterations(target.inputs())
            .with_generator($generator)
            .for_each(|input| {
                let check = &check;
                target.count((check.0)(input));
            });
    }};
}

/// What JSON that clients send is broken with.
pub const JSON_WORDS: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "1.5",
    "\"a\"",
    "{}",
    "[]",
    "\"message\"",
    "\"request_id\"",
    "\"extra\":1,",
    "\"message\":\"x\",",
    "\\ud800",
    "\\u0000",
    "\u{0}",
    " ",
    "\t",
    "\n",
    "é",
    "\u{1F3AE}",
    "\u{2028}",
    "\"_placeholder\":true",
    "18446744073709551616",
];
