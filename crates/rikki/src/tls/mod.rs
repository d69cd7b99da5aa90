//! Certificates of a server, loaded from PEM files or made in memory, and checked before a listener uses them.
//!
//! What is accepted here can serve: the key fits the certificate, and TLS 1.2 and 1.3 are offered with ALPN `h2` and
//! `http/1.1`. Accepting connections, handshakes and their deadline belong to the server. Whose
//! cryptography it is, `rikki_ws::tls` says.

#[cfg(feature = "acme")]
mod acme;
mod certificate;
#[cfg(feature = "self-signed")]
mod development;
mod handshake;
mod peer;
#[cfg(any(feature = "acme", feature = "self-signed"))]
mod private;
mod store;
#[cfg(all(test, feature = "client", feature = "self-signed"))]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[cfg(feature = "acme")]
pub use acme::Acme;
#[cfg(all(test, feature = "acme"))]
pub(crate) use acme::Now;
#[cfg(all(test, feature = "acme"))]
pub(crate) use acme::tests as fake;
#[cfg(feature = "acme")]
pub(crate) use acme::{Failure, Managed, Order, Window, backoff, fraction, planned, rests, soonest};
#[cfg(any(feature = "acme", feature = "self-signed"))]
pub(crate) use certificate::Certificate;
pub(crate) use handshake::{Failed, Handshake};
pub use peer::ClientCertificate;

use crate::ws::TlsError;
pub(crate) use store::Look;
use store::{Sources, Store, Watched};

/// The protocols offered by ALPN ([RFC 7301](https://www.rfc-editor.org/rfc/rfc7301#section-3.2)), best first. A client
/// that offers none speaks HTTP/1.1; one that offers only others is refused during the handshake.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Server certificates with their keys, checked and ready for a TLS listener.
///
/// A client is shown the one for the name that it asks for (SNI): a DNS name in the certificate, without regard to case,
/// or a wildcard for its first label. Whoever asks for another name, or for none as with an IP address, is shown the
/// first. Of several for one name, such as one with ECDSA and one with RSA, it is the first that the client can verify.
///
/// TLS 1.2 and 1.3 are offered, with ALPN `h2` and `http/1.1`. A clone shares everything with the original, also what
/// is reloaded. Whom a
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
    store: Arc<Store>,
    secrets: Vec<PathBuf>,
    certificate_pem: Option<Arc<str>>,
    fingerprint: Option<Arc<str>>,
}

impl ServerTls {
    /// Loads a certificate chain and its private key from two PEM files, which may be one and the same.
    ///
    /// `certificate` holds the server's own certificate first, then the intermediate ones. `key` holds the private key
    /// as PKCS#8 (`PRIVATE KEY`), PKCS#1 (`RSA PRIVATE KEY`) or SEC1 (`EC PRIVATE KEY`), without a passphrase; the
    /// first key in the file is taken. Both are read now; while a [`Server`](crate::Server) has them, it sees when they
    /// change: [`Handle::reload_certificates`](crate::Handle::reload_certificates) says more.
    ///
    /// # Errors
    ///
    /// Each [`TlsError`] names the file and says what to do about it. A key that does not belong to the first
    /// certificate is [`TlsError::KeyMismatch`]. Expiry is not judged: clients do that.
    pub fn pem_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<ServerTls, TlsError> {
        let (pair, secrets) = Watched::load([certificate.as_ref(), key.as_ref()])?;
        let sources = Sources { pairs: vec![pair], ..Sources::default() };
        Ok(ServerTls { store: Store::new(sources)?, secrets, certificate_pem: None, fingerprint: None })
    }

    /// Adds one more certificate with its key, for other names or of another kind.
    ///
    /// # Errors
    ///
    /// As [`pem_files`](Self::pem_files).
    pub fn and_pem_files(self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<ServerTls, TlsError> {
        let (pair, secrets) = Watched::load([certificate.as_ref(), key.as_ref()])?;
        self.with(secrets, |sources| sources.pairs.push(pair))
    }

    /// Has certificates issued and renewed by an authority, by ACME
    /// ([RFC 8555](https://www.rfc-editor.org/rfc/rfc8555)): one for each name.
    ///
    /// Nothing is asked for here. While a [`Server`](crate::Server) has this, it orders what is missing, and proves each
    /// name on its TLS listeners (TLS-ALPN-01, [RFC 8737](https://www.rfc-editor.org/rfc/rfc8737)): an authority has to
    /// reach one of them at port 443 of the name. What was issued before and is valid now is loaded from the folder for
    /// the state, so that a server that starts anew has it at once. Until there is a certificate for a name the
    /// handshake of whoever asks for it fails, unless there is [another](Self::and_acme) for it.
    ///
    /// A certificate is renewed when a third of its lifetime is left, a little sooner by chance, or when its authority
    /// suggests ([RFC 9773](https://www.rfc-editor.org/rfc/rfc9773)). After a failure that in use stays, valid or not,
    /// and the next attempt follows after a minute, then after twice the time each, up to 6 hours, or later if the
    /// authority says so; each is a line in the log at the level `error`, and one more in
    /// [`failed_orders`](crate::Counters::failed_orders).
    ///
    /// The account is made with the first order, which agrees to the authority's terms of service. It and the keys are in
    /// files with mode 0600, which no mount serves. Two processes may have one folder: each orders for itself what it
    /// finds to be due, and takes what the other one has written if that is newer.
    ///
    /// # Errors
    ///
    /// [`TlsError::Acme`] for settings that cannot be, [`TlsError::State`] where the folder cannot be made or read, and
    /// what [`ClientTls::ca`](crate::ws::client::ClientTls::ca) or, without a file,
    /// [`ClientTls::system`](crate::ws::client::ClientTls::system) says. What is in the state and cannot be used is a
    /// warning in the log.
    #[cfg(feature = "acme")]
    pub fn acme(settings: Acme) -> Result<ServerTls, TlsError> {
        ServerTls {
            store: Store::new(Sources::default())?,
            secrets: Vec::new(),
            certificate_pem: None,
            fingerprint: None,
        }
        .and_acme(settings)
    }

    /// Adds names whose certificates are issued by ACME: see [`acme`](Self::acme). A later call takes the place of an
    /// earlier one.
    ///
    /// Where a certificate from files is for one of them too, that is shown.
    ///
    /// # Errors
    ///
    /// As [`acme`](Self::acme).
    #[cfg(feature = "acme")]
    pub fn and_acme(self, settings: Acme) -> Result<ServerTls, TlsError> {
        self.and_managed(Managed::new(settings)?)
    }

    #[cfg(all(test, feature = "acme"))]
    pub(crate) fn acme_of(managed: Arc<Managed>) -> Result<ServerTls, TlsError> {
        ServerTls {
            store: Store::new(Sources::default())?,
            secrets: Vec::new(),
            certificate_pem: None,
            fingerprint: None,
        }
        .and_managed(managed)
    }

    #[cfg(feature = "acme")]
    fn and_managed(self, managed: Arc<Managed>) -> Result<ServerTls, TlsError> {
        let (secret, issued) = (managed.secret(), managed.load_all());
        self.with(vec![secret], |sources| sources.issuing = Some(store::Issuing { managed, issued }))
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
        ServerTls::made(development::certificate(names.into_iter().map(Into::into).collect())?)
    }

    /// The same, kept in a folder, so that those who were told to trust it need not be told again.
    ///
    /// It is made where there is none, or where the one that is there is for other names, cannot be used or expires within
    /// 30 days; it is valid for 365. The folder is made with mode 0700 if it is not there, and in it
    /// `rikki-development-cert.pem`, and `.rikki-development-key.pem`, with mode 0600 each. No folder of the server gives
    /// the key away, and since it is hidden, another server does so only where hidden files are served. Blocks.
    ///
    /// # Errors
    ///
    /// As [`self_signed`](Self::self_signed); [`TlsError::State`] if a file cannot be read or written.
    #[cfg(feature = "self-signed")]
    pub fn self_signed_in(
        folder: impl AsRef<Path>,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<ServerTls, TlsError> {
        ServerTls::made(development::kept(names.into_iter().map(Into::into).collect(), folder.as_ref())?)
    }

    #[cfg(feature = "self-signed")]
    fn made(made: development::Made) -> Result<ServerTls, TlsError> {
        let fingerprint = made.certified.end_entity_cert().ok().and_then(development::fingerprint);
        let sources = Sources { made: Some(Certificate::new(made.certified)), ..Sources::default() };
        Ok(ServerTls {
            store: Store::new(sources)?,
            secrets: made.secret.into_iter().collect(),
            certificate_pem: Some(made.pem.into()),
            fingerprint: fingerprint.map(Into::into),
        })
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
    pub fn client_ca(self, ca: impl AsRef<Path>) -> Result<ServerTls, TlsError> {
        let (authorities, secrets) = Watched::load([ca.as_ref()])?;
        self.with(secrets, |sources| sources.authorities = Some(authorities))
    }

    /// The files that hold a private key, of those that this was loaded from, as they were named, and the folder in which
    /// those from ACME are: the file service never serves them. Certificates are public.
    pub fn secrets(&self) -> &[PathBuf] {
        &self.secrets
    }

    /// The SHA-256 of the certificate made by `self_signed`, as browsers show it: 32 bytes in hex with colons between;
    /// `None` for one that was loaded from files.
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// The certificate made by `self_signed`, as PEM, for clients that are to trust it; `None` for one
    /// that was loaded from files.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate_pem.as_deref()
    }

    /// What a handshake that begins now goes by.
    pub(crate) fn handshake(&self) -> Handshake {
        Handshake::new(&self.store)
    }

    /// What is kept of names that are issued by ACME, if there are any.
    #[cfg(feature = "acme")]
    pub(crate) fn managed(&self) -> Option<&Arc<Managed>> {
        self.store.managed()
    }

    /// What has been issued for each of these names.
    #[cfg(feature = "acme")]
    pub(crate) fn issued(&self) -> Vec<(String, Option<Certificate>)> {
        self.store.sources().issuing.map(|issuing| issuing.issued).unwrap_or_default()
    }

    /// See [`Store::install`].
    #[cfg(feature = "acme")]
    pub(crate) fn install(&self, name: &str, certificate: &Certificate) -> Result<(), TlsError> {
        self.store.install(name, certificate)
    }

    /// Whether there is anything to look at.
    pub(crate) fn has_files(&self) -> bool {
        self.store.has_files()
    }

    /// Reads the files again: see [`Store::look`].
    pub(crate) fn look(&self, now: SystemTime, is_patient: bool) -> Look {
        self.store.look(now, is_patient)
    }

    /// See [`Store::may_replace`].
    pub(crate) fn may_replace(&self, before: Option<&Self>, now: SystemTime) -> Result<(), TlsError> {
        self.store.may_replace(before.map(|before| &*before.store), now)
    }

    /// See [`Store::authorities`].
    pub(crate) fn authorities(&self) -> Option<u64> {
        self.store.authorities()
    }

    /// See [`Store::ends`].
    #[cfg(feature = "admin")]
    pub(crate) fn ends(&self) -> Vec<(String, SystemTime)> {
        self.store.ends()
    }

    /// See [`Store::expiring`].
    pub(crate) fn expiring(&self, now: SystemTime, within: Duration) -> Vec<(PathBuf, SystemTime)> {
        self.store.expiring(now, within)
    }

    fn with(mut self, secrets: Vec<PathBuf>, change: impl FnOnce(&mut Sources)) -> Result<ServerTls, TlsError> {
        let mut sources = self.store.sources();
        change(&mut sources);
        self.store = Store::new(sources)?;
        for secret in secrets {
            if !self.secrets.contains(&secret) {
                self.secrets.push(secret);
            }
        }
        Ok(self)
    }
}

impl fmt::Debug for ServerTls {
    /// Names files alone: certificates are long and keys are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("secrets", &self.secrets).finish_non_exhaustive()
    }
}
