//! Certificates for an etcd that speaks TLS and for its clients, made anew for each test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// An authority, and what it has signed. The files are gone when it is dropped.
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// A new authority, with a certificate for a server on loopback and one for `client`, which is
    /// its common name.
    #[must_use]
    pub fn new(client: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, pem: String| {
            fs::write(directory.path().join(name), pem).expect("the directory can be written to");
        };
        let mut authority = named("the authority of a test", &[]);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        write("ca.pem", authority.self_signed(&key).expect("a certificate").pem());
        let authority = Issuer::new(authority, key);
        for (name, parameters) in
            [("server", named("etcd", &["127.0.0.1", "localhost"])), ("client", named(client, &[]))]
        {
            let key = KeyPair::generate().expect("a key");
            let certificate = parameters.signed_by(&key, &authority).expect("a certificate");
            write(&format!("{name}.pem"), certificate.pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self { directory }
    }

    /// The authority's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The certificate of `server` or `client`, and its key.
    #[must_use]
    pub fn of(&self, name: &str) -> (PathBuf, PathBuf) {
        let at = |end: &str| self.directory.path().join(format!("{name}.{end}"));
        (at("pem"), at("key"))
    }

    /// Where the files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

fn named(common_name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
    let mut parameters = CertificateParams::new(hosts).expect("names of hosts");
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters
}
