//! Certificates that are made on the spot, and clients that trust them.

use std::sync::Arc;

use rcgen::{KeyPair, PKCS_RSA_SHA256, SignatureAlgorithm};
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};

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

/// A private key of this kind: a new one, but for RSA, of which ring makes none.
pub fn key(kind: &'static SignatureAlgorithm) -> KeyPair {
    if *kind == PKCS_RSA_SHA256 {
        return KeyPair::from_pem_and_sign_algo(include_str!("rsa.pem"), kind).expect("an RSA key");
    }
    KeyPair::generate_for(kind).expect("a kind of key that can be made")
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

/// A client that takes any certificate, and verifies signatures of these kinds alone: for those that are made at the
/// start of a server, and for what a server shows to whom.
pub fn credulous(
    schemes: &[SignatureScheme],
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .expect("versions that the provider speaks")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous(schemes.to_vec())))
}

#[derive(Debug)]
struct Credulous(Vec<SignatureScheme>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls12_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
