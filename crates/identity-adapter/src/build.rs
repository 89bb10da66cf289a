//! From configuration to the verifier it describes.

use std::sync::Arc;

use game_realtime_application::{panics::Watchdog, ports::IdentityVerifier};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{
    Config, ConfigFault, Mode, jwks_file::JwksFile, jwt::JwtVerifier,
    trusted_header::TrustedHeaderVerifier,
};

/// Builds the verifier that `config` describes. Reads the key file, if there is one, once.
///
/// # Errors
/// Every fault of the section, so that they can be mended at once.
pub fn build_verifier(config: &Config) -> Result<Arc<dyn IdentityVerifier>, Vec<ConfigFault>> {
    build(config).map(|(verifier, _)| verifier)
}

/// As [`build_verifier`], and follows changes of a key set's file, in a task that `tracker` owns,
/// `stop` ends and `watchdog` watches.
///
/// # Errors
/// Every fault of the section.
pub fn start_verifier(
    config: &Config,
    tracker: &TaskTracker,
    stop: CancellationToken,
    watchdog: &Watchdog,
) -> Result<Arc<dyn IdentityVerifier>, Vec<ConfigFault>> {
    let (verifier, file) = build(config)?;
    if let Some(file) = file {
        let follow = stop.run_until_cancelled_owned(file.follow());
        tracker.spawn(watchdog.clone().watch("key set", follow));
    }
    Ok(verifier)
}

type Built = (Arc<dyn IdentityVerifier>, Option<JwksFile>);

fn build(config: &Config) -> Result<Built, Vec<ConfigFault>> {
    // The header section has usable defaults, so a bad value there is a mistake in either mode.
    // Token keys have no defaults and are only looked at when they are needed.
    let trusted_header = TrustedHeaderVerifier::new(&config.trusted_header);
    match config.mode {
        Mode::TrustedHeader => {
            if config.trusted_header.proxies.is_empty() {
                warn!("auth.trusted_header.proxies is empty: nobody can be identified");
            }
            Ok((Arc::new(trusted_header?), None))
        }
        Mode::Jwt => match (JwtVerifier::new(&config.jwt), trusted_header) {
            (Ok((verifier, file)), Ok(_)) => Ok((Arc::new(verifier), file)),
            (Err(faults), Ok(_)) | (Ok(_), Err(faults)) => Err(faults),
            (Err(mut faults), Err(more)) => {
                faults.extend(more);
                Err(faults)
            }
        },
    }
}
