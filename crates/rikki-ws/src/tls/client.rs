//! The client's side: whom to trust, and the certificate to show.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::chain::check_length;
use super::{TlsError, certified_key, pem, provider};

/// TLS 1.2 and 1.3 for clients: whom to trust, and the certificate to show.
///
/// A clone shares everything with the original, also the sessions that shorten a second handshake with a server.
///
/// ```no_run
/// use rikki_ws::client::ClientTls;
///
/// let tls = ClientTls::ca("ca.crt")?.certificate("client.crt", "client.key")?;
/// # Ok::<(), rikki_ws::TlsError>(())
/// ```
#[derive(Clone)]
pub struct ClientTls {
    verifier: Arc<dyn ServerCertVerifier>,
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Trusts the authorities that the system trusts; reads their files, once, now.
    ///
    /// The environment variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
    ///
    /// # Errors
    ///
    /// [`TlsError::NoRoots`] if the system has none.
    pub fn system() -> Result<ClientTls, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Some that cannot be used are in every system's list.
        let (usable, _) = roots.add_parsable_certificates(found.certs);
        if usable == 0 {
            return Err(TlsError::NoRoots { why: found.errors.first().map(ToString::to_string) });
        }
        Self::trusting(roots, Vec::new())
    }

    /// Trusts the authorities in this PEM file and no others; a self-signed certificate is its own authority.
    ///
    /// # Errors
    ///
    /// Each [`TlsError`] names the file.
    pub fn ca(path: impl AsRef<Path>) -> Result<ClientTls, TlsError> {
        let path = path.as_ref();
        Self::trusting_certificates(pem::certificates(path)?, path)
    }

    /// Trusts the authorities in this PEM text and no others, such as what `ServerTls::certificate_pem` of the server
    /// gives.
    ///
    /// # Errors
    ///
    /// Each [`TlsError`] says what is wrong with it.
    pub fn ca_pem(text: impl AsRef<[u8]>) -> Result<ClientTls, TlsError> {
        let name = Path::new("the PEM text");
        Self::trusting_certificates(pem::certificates_in(text.as_ref(), name)?, name)
    }

    /// Trusts whoever answers: no certificate is checked, neither its authority nor its name nor its time.
    ///
    /// The connection is encrypted, and with whom nobody knows: whoever is on the way can read and change everything.
    /// It is for servers under construction; what [`ca`](Self::ca) takes is better in all other cases.
    ///
    /// # Errors
    ///
    /// [`TlsError::Rejected`] if the cryptography of the process has no ciphers.
    pub fn insecure() -> Result<ClientTls, TlsError> {
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(TrustingAnybody { provider: provider() });
        let config = config(&verifier, None)?;
        Ok(ClientTls { verifier, config })
    }

    /// Shows this certificate to servers that ask for one: from two PEM files, of which the first holds its chain and
    /// the second its private key, without a passphrase.
    ///
    /// # Errors
    ///
    /// Each [`TlsError`] names the file.
    pub fn certificate(mut self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<ClientTls, TlsError> {
        let (certificate, key) = (certificate.as_ref(), key.as_ref());
        let certified = certified_key(pem::certificates(certificate)?, pem::private_key(key)?, certificate, key)?;
        self.config = config(&self.verifier, Some(Arc::new(SingleCertAndKey::from(certified))))?;
        Ok(self)
    }

    #[doc(hidden)]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    fn trusting_certificates(certificates: Vec<CertificateDer<'static>>, path: &Path) -> Result<ClientTls, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|source| TlsError::bad_certificate(path, source))?;
        }
        Self::trusting(roots, certificates)
    }

    fn trusting(roots: RootCertStore, named: Vec<CertificateDer<'static>>) -> Result<ClientTls, TlsError> {
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        let usual = usual.build().map_err(TlsError::rejected)?;
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(Trusting { usual, named });
        let config = config(&verifier, None)?;
        Ok(ClientTls { verifier, config })
    }
}

impl fmt::Debug for ClientTls {
    /// Says nothing of the inside: certificates are long and keys are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

/// rustls's own verifier, which refuses an authority that is the server itself, such as `openssl req -x509` makes: it
/// may be one if it was named.
#[derive(Debug)]
struct Trusting {
    usual: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        check_length(intermediates)?;
        let verified = self.usual.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        match verified {
            // Its time has been judged before.
            Err(Error::InvalidCertificate(CertificateError::Other(error)))
                if is_an_authority(&error) && self.named.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Checks that the server has the key of its certificate, as the handshake needs it to, and nothing else.
#[derive(Debug)]
struct TrustingAnybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for TrustingAnybody {
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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a handshake failed because nobody whom the client trusts vouches for the server.
pub(crate) fn is_untrusted(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        Error::InvalidCertificate(CertificateError::Other(error)) => is_an_authority(error),
        _ => false,
    }
}

/// Whether the certificate is one of an authority, which nothing but the name of rustls-webpki's error says.
fn is_an_authority(error: &OtherError) -> bool {
    format!("{:?}", error.0) == "CaUsedAsEndEntity"
}

fn config(
    verifier: &Arc<dyn ServerCertVerifier>,
    own: Option<Arc<dyn ResolvesClientCert>>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::rejected)?
        // Named so by rustls since it takes any verifier; this one is its own.
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone());
    let mut config = match own {
        Some(own) => builder.with_client_cert_resolver(own),
        None => builder.with_no_client_auth(),
    };
    // https://www.rfc-editor.org/rfc/rfc6455#section-4.1 is HTTP/1.1 alone.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
