//! Certificates that are made on the spot, and clients that trust them.

use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, SupportedProtocolVersion};

/// A certificate that is its own authority, as PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Certificate {
    /// For these names and addresses.
    pub fn new<const N: usize>(names: [&str; N]) -> Self {
        let made = rcgen::generate_simple_self_signed(names.map(str::to_owned)).expect("names of hosts");
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }
}

/// A client that speaks these versions alone, and trusts the authority in this PEM text and no other; whether it has a
/// certificate itself is left to be said.
pub fn trusting(
    authority: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority.as_bytes()).expect("a certificate");
    roots.add(authority).expect("an authority");
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .expect("versions that the provider speaks")
        .with_root_certificates(roots)
}
