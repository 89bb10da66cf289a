//! Certificates and keys, as the configuration names them.

use std::path::Path;

use etcd_client::{Certificate, Identity, TlsOptions};

use crate::config::TlsConfig;

/// A file that the `etcd.tls` section names cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("etcd.tls: {path}: {source}")]
pub struct TlsFileError {
    path: String,
    source: std::io::Error,
}

pub(super) struct TlsFiles(pub(super) TlsConfig);

impl TlsFiles {
    /// What the files say now.
    pub(super) fn read(&self) -> Result<TlsOptions, TlsFileError> {
        let Self(config) = self;
        let mut options = TlsOptions::new();
        options = match &config.ca_file {
            Some(path) => options.ca_certificate(Certificate::from_pem(read(path)?)),
            // The authorities that the system knows. Without this the client knows none.
            None => options.with_native_roots(),
        };
        if let (Some(certificate), Some(key)) = (&config.cert_file, &config.key_file) {
            options = options.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        Ok(options)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    std::fs::read(path).map_err(|source| TlsFileError { path: path.display().to_string(), source })
}
