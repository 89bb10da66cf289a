//! Says who a client is: by a JSON Web Token, or by a header that a trusted proxy sets.
//!
//! It implements [`IdentityVerifier`](game_realtime_application::ports::IdentityVerifier). It
//! reads no clock (the time is a parameter), does no I/O after it was built, and never logs or
//! prints a token or a secret.
//!
//! To add a way of identifying players: a variant of [`Mode`], a section in [`Config`], a file
//! beside `trusted_header.rs` and an arm in [`build_verifier`].

mod bearer;
mod build;
mod config;
mod config_fault;
mod jwt;
mod key;
mod mint;
mod trusted_header;

pub use build::build_verifier;
pub use config::{Algorithm, Config, DEVELOPMENT_SECRET, JwtConfig, Mode, TrustedHeaderConfig};
pub use config_fault::{ConfigFault, Problem};
pub use jwt::JwtVerifier;
pub use mint::{MintError, mint};
pub use trusted_header::TrustedHeaderVerifier;
