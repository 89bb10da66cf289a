//! From configuration to the verifier it describes.

use std::sync::Arc;

use game_realtime_application::ports::IdentityVerifier;
use tracing::warn;

use crate::{Config, ConfigFault, JwtVerifier, Mode, TrustedHeaderVerifier};

/// Builds the verifier that `config` describes. Reads the key file, if there is one.
///
/// # Errors
/// Every fault of the section, so that they can be mended at once.
pub fn build_verifier(config: &Config) -> Result<Arc<dyn IdentityVerifier>, Vec<ConfigFault>> {
    // The header section has usable defaults, so a bad value there is a mistake in either mode.
    // Token keys have no defaults and are only looked at when they are needed.
    let trusted_header = TrustedHeaderVerifier::new(&config.trusted_header);
    match config.mode {
        Mode::TrustedHeader => {
            if config.trusted_header.proxies.is_empty() {
                warn!("auth.trusted_header.proxies is empty: nobody can be identified");
            }
            Ok(Arc::new(trusted_header?))
        }
        Mode::Jwt => match (JwtVerifier::new(&config.jwt), trusted_header) {
            (Ok(verifier), Ok(_)) => Ok(Arc::new(verifier)),
            (Err(faults), Ok(_)) | (Ok(_), Err(faults)) => Err(faults),
            (Err(mut faults), Err(more)) => {
                faults.extend(more);
                Err(faults)
            }
        },
    }
}
