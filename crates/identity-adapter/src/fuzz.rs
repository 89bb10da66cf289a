//! Who somebody says to be, given what nobody would say.

mod headers;
mod key_sets;
mod tokens;
