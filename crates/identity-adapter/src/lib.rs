//! Says who a client is: by a JSON Web Token, or by a header that a trusted proxy sets.
//!
//! It implements [`IdentityVerifier`](game_realtime_application::ports::IdentityVerifier). It
//! reads no clock (the time is a parameter), does no I/O while it verifies (a file of keys is read
//! again beside it), and never logs or prints a token or a secret.
//!
//! To add a way of identifying players: a variant of [`Mode`], a section in [`Config`], a file
//! beside `trusted_header.rs` and an arm in `build.rs`.

mod bearer;
mod build;
mod config;
mod config_fault;
#[cfg(test)]
mod fuzz;
mod jwks_file;
mod jwt;
mod key;
mod key_set;
mod mint;
mod sound_key;
mod trusted_header;

pub use build::{build_verifier, start_verifier};
pub use config::{Algorithm, Config, DEVELOPMENT_SECRET, JwtConfig, Mode, TrustedHeaderConfig};
pub use config_fault::{ConfigFault, Problem};
pub use key_set::KeySetFault;
pub use mint::{MintError, mint};
