//! Certificates of a server, loaded from PEM files or made in memory, and checked before a listener uses them.
//!
//! What is accepted here can serve: the key fits the certificate, and TLS 1.2 and 1.3 are offered with ALPN `h2` and
//! `http/1.1`. Accepting connections, handshakes and their deadline belong to the server. The cryptography is always
//! that of aws-lc, whatever provider the embedding program has made its process default.

#[cfg(feature = "self-signed")]
mod development;
mod peer;
#[cfg(all(test, feature = "client", feature = "self-signed"))]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};

pub use peer::ClientCertificate;

use crate::ws::TlsError;
use crate::ws::tls::{Bounded, certified_key, pem, provider};

/// The protocols offered by ALPN ([RFC 7301](https://www.rfc-editor.org/rfc/rfc7301#section-3.2)), best first. A client
/// that offers none speaks HTTP/1.1; one that offers only others is refused during the handshake.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A server certificate with its key, checked and ready for a TLS listener.
///
/// TLS 1.2 and 1.3 are offered, with ALPN `h2` and `http/1.1`. A clone shares everything with the original. Whom a
/// client trusts is its `ClientTls`.
///
/// ```no_run
/// use rikki::ServerTls;
///
/// let tls = ServerTls::pem_files("server.crt", "server.key")?.client_ca("clients.crt")?;
/// # Ok::<(), rikki::TlsError>(())
/// ```
#[derive(Clone)]
pub struct ServerTls {
    certified: Arc<CertifiedKey>,
    config: Arc<ServerConfig>,
    secrets: Vec<PathBuf>,
    certificate_pem: Option<Arc<str>>,
}

impl ServerTls {
    /// Loads a certificate chain and its private key from two PEM files, which may be one and the same.
    ///
    /// `certificate` holds the server's own certificate first, then the intermediate ones. `key` holds the private key
    /// as PKCS#8 (`PRIVATE KEY`), PKCS#1 (`RSA PRIVATE KEY`) or SEC1 (`EC PRIVATE KEY`), without a passphrase; the
    /// first key in the file is taken. Both are read once, now: a later change of the files is not seen.
    ///
    /// # Errors
    ///
    /// Each [`TlsError`] names the file and says what to do about it. A key that does not belong to the first
    /// certificate is [`TlsError::KeyMismatch`]. Expiry is not judged: clients do that.
    pub fn pem_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<ServerTls, TlsError> {
        let (certificate, key) = (certificate.as_ref(), key.as_ref());
        let chain = pem::certificates(certificate)?;
        let certified = certified_key(chain, pem::private_key(key)?, certificate, key)?;
        let mut secrets = vec![key.to_owned()];
        if certificate != key && pem::holds_key(certificate)? {
            secrets.push(certificate.to_owned());
        }
        Self::new(certified, secrets, None)
    }

    /// Makes a certificate for development, in memory: self-signed, for these DNS names and IP addresses.
    ///
    /// It is valid from one day ago for 14 days and is made anew by every call, with a P-256 key that never leaves the
    /// process. No client trusts it by itself; [`certificate_pem`](Self::certificate_pem) gives what to trust. IPv6
    /// addresses are written without brackets.
    ///
    /// # Errors
    ///
    /// [`TlsError::BadName`] for what is neither a DNS name nor an IP address, [`TlsError::NoNames`] without any name.
    ///
    /// ```
    /// # use rikki::ServerTls;
    /// let tls = ServerTls::self_signed(["localhost", "127.0.0.1", "::1"])?;
    /// assert!(tls.certificate_pem().is_some());
    /// # Ok::<(), rikki::TlsError>(())
    /// ```
    #[cfg(feature = "self-signed")]
    pub fn self_signed(names: impl IntoIterator<Item = impl Into<String>>) -> Result<ServerTls, TlsError> {
        let made = development::certificate(names.into_iter().map(Into::into).collect())?;
        let key = provider().key_provider.load_private_key(made.key).map_err(TlsError::rejected)?;
        let certified = CertifiedKey::new(vec![made.certificate], key);
        Self::new(certified, Vec::new(), Some(made.pem.into()))
    }

    /// Requires of every client a certificate that one of the authorities in this PEM file has issued.
    ///
    /// Handlers find it as [`ClientCertificate`]. A client without one is refused during the handshake and never sends
    /// a request, and so is one that shows more than 6 certificates between its own and an authority's. A later call
    /// replaces the authorities of an earlier one.
    ///
    /// # Errors
    ///
    /// Each [`TlsError`] names the file.
    pub fn client_ca(mut self, ca: impl AsRef<Path>) -> Result<ServerTls, TlsError> {
        let ca = ca.as_ref();
        let mut roots = RootCertStore::empty();
        for certificate in pem::certificates(ca)? {
            roots.add(certificate).map_err(|source| TlsError::bad_certificate(ca, source))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(TlsError::rejected)?;
        self.config = server_config(&self.certified, Some(Arc::new(Bounded(verifier))))?;
        if pem::holds_key(ca)? {
            self.secrets.push(ca.to_owned());
        }
        Ok(self)
    }

    /// The files that hold a private key, of those that this was loaded from, as they were named: the file service
    /// never serves them. Certificates are public.
    pub fn secrets(&self) -> &[PathBuf] {
        &self.secrets
    }

    /// The certificate made by `self_signed`, as PEM, for clients that are to trust it; `None` for one
    /// that was loaded from files.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate_pem.as_deref()
    }

    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    fn new(
        certified: CertifiedKey,
        secrets: Vec<PathBuf>,
        certificate_pem: Option<Arc<str>>,
    ) -> Result<ServerTls, TlsError> {
        let certified = Arc::new(certified);
        let config = server_config(&certified, None)?;
        Ok(ServerTls { certified, config, secrets, certificate_pem })
    }
}

impl fmt::Debug for ServerTls {
    /// Names files alone: certificates are long and keys are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

fn server_config(
    certified: &Arc<CertifiedKey>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::rejected)?;
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(certified))));
    config.alpn_protocols = ALPN.map(Vec::from).into();
    Ok(Arc::new(config))
}
