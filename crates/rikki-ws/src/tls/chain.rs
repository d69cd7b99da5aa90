//! How long a chain of certificates may be. Looking for a way through one takes time that grows with its factorial, as
//! far as the names go, and whoever shows it is nobody yet.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

/// The most certificates between that of a peer and an authority. Usual are one or two.
const INTERMEDIATES: usize = 6;

/// Refuses a chain that is too long.
pub(super) fn check_length(intermediates: &[CertificateDer<'_>]) -> Result<(), Error> {
    if intermediates.len() > INTERMEDIATES {
        let why: Box<dyn std::error::Error + Send + Sync> =
            format!("more than {INTERMEDIATES} certificates before that of an authority").into();
        return Err(Error::InvalidCertificate(CertificateError::Other(OtherError(why.into()))));
    }
    Ok(())
}

/// A verifier of clients that show no longer chain.
#[derive(Debug)]
pub struct Bounded(pub Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Bounded {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        check_length(intermediates)?;
        self.0.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
