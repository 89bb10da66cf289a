//! The load generator against the real gateway, and against servers that do what it has to notice.

mod faults;
mod misbehaving;
mod program;
mod scenarios;
mod usage;
