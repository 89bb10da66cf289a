//! The bounds that configuration sets on what a command may contain.

use alloc::{format, string::String};

/// Upper bounds on the fields of commands, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandLimits {
    /// Longest `message` of a broadcast.
    pub message_length: usize,
    /// Longest `text` of a message.
    pub text_length: usize,
    /// Longest `good_id` of a purchase.
    pub good_id_length: usize,
}

impl CommandLimits {
    /// The largest `count` of a purchase: 2^53 - 1, the largest integer that every JSON
    /// implementation can represent exactly (RFC 8259, section 6).
    pub const MAX_COUNT: i64 = (1 << 53) - 1;
}

/// Whether a text has at least one character, and no more than a limit.
pub(crate) fn length_up_to(limit: usize) -> impl FnOnce(&String, &CommandLimits) -> garde::Result {
    move |text, _limits| {
        if (1..=limit).contains(&text.chars().count()) {
            Ok(())
        } else {
            Err(garde::Error::new(format!("must have 1 to {limit} characters")))
        }
    }
}
