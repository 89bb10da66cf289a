//! The event log: where its segments begin, how it is read, and the port to it.
//!
//! The log is cut into segments. A node writes an event under the latest revision it knows; the
//! transaction holds only if that revision is in the newest segment or the one before. So the key of
//! an event says within two segments when it was committed, no clock is needed to find it, and
//! what is read or deleted segment by segment is complete to a known position.

pub(crate) mod read_back;
pub(crate) mod reader;
pub(crate) mod repository;
pub(crate) mod segments;
pub(crate) mod unreadable;
