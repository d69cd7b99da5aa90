//! What a listener shows and whom it trusts, and the files that it comes from: looked at when somebody says so, and
//! swapped as a whole.
//!
//! Files are told apart by what is in them, so that links may be turned and times may lie. When they are looked at, and
//! what is logged and counted, is up to the server.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::ALPN;
#[cfg(feature = "acme")]
use super::acme::Managed;
use super::certificate::{ByName, Certificate};
use crate::ws::TlsError;
use crate::ws::tls::{Bounded, certified_key, pem, provider};

/// What handshakes go by now, and what it was made of.
pub(super) struct Store {
    /// Held while files are read, by those who look at them alone.
    sources: Mutex<Sources>,
    /// Read once for each handshake.
    config: RwLock<Arc<ServerConfig>>,
    /// What the certificates in use were made of: to be read while somebody looks at files, which may hang.
    prints: RwLock<Prints>,
    /// When those expire that are shown, likewise.
    ends: RwLock<Vec<(String, SystemTime)>>,
    #[cfg(feature = "acme")]
    managed: Option<Arc<Managed>>,
}

/// What is made of the texts in use.
#[derive(Clone, Debug, Default, PartialEq)]
struct Prints {
    pairs: Vec<u64>,
    authorities: Option<u64>,
}

/// Certificates, the default one first, and whom clients have to be known to.
#[derive(Clone, Default)]
pub(super) struct Sources {
    /// Made in memory: it has no files.
    pub(super) made: Option<Certificate>,
    pub(super) pairs: Vec<Watched<Certificate, 2>>,
    pub(super) authorities: Option<Watched<Verifier, 1>>,
    #[cfg(feature = "acme")]
    pub(super) issuing: Option<Issuing>,
}

/// Names with what an authority has issued for them so far.
#[cfg(feature = "acme")]
#[derive(Clone)]
pub(super) struct Issuing {
    pub(super) managed: Arc<Managed>,
    pub(super) issued: Vec<(String, Option<Certificate>)>,
}

/// Who judges the certificates of clients.
#[derive(Clone)]
pub(super) struct Verifier(Arc<dyn ClientCertVerifier>);

/// What came of a look at the files.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// The files whose content has been taken over: of a pair that with the certificate.
    pub(crate) swapped: Vec<PathBuf>,
    /// Why what is in files now is not used, and whether that has not been said before.
    pub(crate) refused: Vec<(TlsError, bool)>,
    /// Whether there is something in files that nobody can use, which may be the middle of a change.
    pub(crate) is_unsettled: bool,
}

impl Store {
    pub(super) fn new(sources: Sources) -> Result<Arc<Self>, TlsError> {
        let config = RwLock::new(sources.config()?);
        let prints = RwLock::new(sources.prints());
        let ends = RwLock::new(sources.ends());
        #[cfg(feature = "acme")]
        let managed = sources.issuing.as_ref().map(|issuing| issuing.managed.clone());
        Ok(Arc::new(Self {
            sources: Mutex::new(sources),
            config,
            prints,
            ends,
            #[cfg(feature = "acme")]
            managed,
        }))
    }

    #[cfg(feature = "acme")]
    pub(super) fn managed(&self) -> Option<&Arc<Managed>> {
        self.managed.as_ref()
    }

    /// Shows what has been issued for a name from now on.
    #[cfg(feature = "acme")]
    pub(super) fn install(&self, name: &str, certificate: &Certificate) -> Result<(), TlsError> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = sources.issuing.iter_mut().flat_map(|issuing| &mut issuing.issued);
        issued.filter(|(of, _)| of == name).for_each(|(_, issued)| *issued = Some(certificate.clone()));
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = sources.config()?;
        *self.ends.write().unwrap_or_else(PoisonError::into_inner) = sources.ends();
        Ok(())
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn sources(&self) -> Sources {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn has_files(&self) -> bool {
        let sources = self.sources();
        !sources.pairs.is_empty() || sources.authorities.is_some()
    }

    /// Reads the files, and takes over what has changed and is good. A patient look says nothing about what is bad
    /// until it sees the same a second time: certificate and key are rarely replaced at one moment.
    pub(super) fn look(&self, now: SystemTime, is_patient: bool) -> Look {
        let mut look = Look::default();
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        for pair in &mut sources.pairs {
            pair.look(now, is_patient, &mut look);
        }
        if let Some(authorities) = &mut sources.authorities {
            authorities.look(now, is_patient, &mut look);
        }
        if !look.swapped.is_empty() {
            match sources.config() {
                Ok(config) => {
                    *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
                    *self.prints.write().unwrap_or_else(PoisonError::into_inner) = sources.prints();
                    *self.ends.write().unwrap_or_else(PoisonError::into_inner) = sources.ends();
                }
                Err(error) => look.refused.push((error, true)),
            }
        }
        look
    }

    /// When each certificate expires, by its file or by the name that it was asked for.
    #[cfg(feature = "admin")]
    pub(super) fn ends(&self) -> Vec<(String, SystemTime)> {
        self.ends.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn prints(&self) -> Prints {
        self.prints.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What tells the authorities of clients from others; `None` if clients show nothing.
    pub(super) fn authorities(&self) -> Option<u64> {
        self.prints().authorities
    }

    /// Whether each certificate may take the place of those of before: it is valid now, or was in use.
    pub(super) fn may_replace(&self, before: Option<&Self>, now: SystemTime) -> Result<(), TlsError> {
        let used = before.map(Self::prints).unwrap_or_default().pairs;
        let is_used = |pair: &Watched<Certificate, 2>| used.contains(&pair.print);
        let sources = self.sources();
        sources.pairs.iter().filter(|pair| !is_used(pair)).try_for_each(|pair| pair.value.check(&pair.name(), now))
    }

    /// The certificates from files that expire within this time, or have expired, and when.
    pub(super) fn expiring(&self, now: SystemTime, within: Duration) -> Vec<(PathBuf, SystemTime)> {
        let pairs = self.sources().pairs.into_iter();
        let soon = pairs.filter(|pair| now.checked_add(within).is_none_or(|then| pair.value.ends < then));
        soon.map(|pair| (pair.name(), pair.value.ends)).collect()
    }
}

impl Sources {
    fn ends(&self) -> Vec<(String, SystemTime)> {
        let made = self.made.iter().map(|made| ("self-signed".to_owned(), made.ends));
        let pairs = self.pairs.iter().map(|pair| (pair.name().display().to_string(), pair.value.ends));
        let ends = made.chain(pairs);
        #[cfg(feature = "acme")]
        let ends = {
            let issued = self.issuing.iter().flat_map(|issuing| &issuing.issued);
            ends.chain(issued.filter_map(|(name, issued)| Some((name.clone(), issued.as_ref()?.ends))))
        };
        ends.collect()
    }

    fn prints(&self) -> Prints {
        let pairs = self.pairs.iter().map(|pair| pair.print).collect();
        Prints { pairs, authorities: self.authorities.as_ref().map(|authorities| authorities.print) }
    }

    /// Sessions are remembered by each configuration for itself, so that nobody resumes one that began with other
    /// certificates or other authorities. Within one they go with the name that was asked for.
    fn config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::rejected)?;
        let builder = match &self.authorities {
            Some(authorities) => builder.with_client_cert_verifier(authorities.value.0.clone()),
            None => builder.with_no_client_auth(),
        };
        let from_files = self.pairs.iter().map(|pair| pair.value.clone());
        #[cfg_attr(not(feature = "acme"), expect(unused_mut, reason = "nobody issues any"))]
        let mut by_name =
            ByName { certificates: self.made.iter().cloned().chain(from_files).collect(), awaited: Vec::new() };
        #[cfg(feature = "acme")]
        for (name, issued) in self.issuing.iter().flat_map(|issuing| &issuing.issued) {
            match issued {
                Some(certificate) => by_name.certificates.push(certificate.clone()),
                None => by_name.awaited.push(name.clone()),
            }
        }
        let mut config = builder.with_cert_resolver(Arc::new(by_name));
        config.alpn_protocols = ALPN.map(Vec::from).into();
        Ok(Arc::new(config))
    }
}

/// What is made of the texts of files.
pub(super) trait Made<const N: usize>: Sized {
    fn make(files: [(&Path, &[u8]); N]) -> Result<Self, TlsError>;

    /// Whether it may replace another one.
    fn check(&self, path: &Path, now: SystemTime) -> Result<(), TlsError>;
}

impl Made<2> for Certificate {
    fn make([(certificate, chain), (key, secret)]: [(&Path, &[u8]); 2]) -> Result<Self, TlsError> {
        let chain = pem::certificates_in(chain, certificate)?;
        Ok(Self::new(certified_key(chain, pem::private_key_in(secret, key)?, certificate, key)?))
    }

    fn check(&self, path: &Path, now: SystemTime) -> Result<(), TlsError> {
        if self.is_valid(now) { Ok(()) } else { Err(TlsError::NotValidNow { path: path.to_owned() }) }
    }
}

impl Made<1> for Verifier {
    fn make([(path, text)]: [(&Path, &[u8]); 1]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in pem::certificates_in(text, path)? {
            roots.add(certificate).map_err(|source| TlsError::bad_certificate(path, source))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(TlsError::rejected)?;
        Ok(Self(Arc::new(Bounded(verifier))))
    }

    fn check(&self, _: &Path, _: SystemTime) -> Result<(), TlsError> {
        Ok(())
    }
}

/// What files hold, or held when that was good.
#[derive(Clone)]
pub(super) struct Watched<T, const N: usize> {
    files: [PathBuf; N],
    /// Whether all of them can be read again, which a pipe cannot.
    is_lasting: bool,
    pub(super) value: T,
    /// Of the texts that the value was made of.
    print: u64,
    /// Of the texts that were bad when they were looked at last, and of those that have been reported.
    bad: Option<u64>,
    reported: Option<u64>,
}

type Texts<const N: usize> = [Result<Vec<u8>, TlsError>; N];

impl<T: Made<N>, const N: usize> Watched<T, N> {
    /// Also tells which of the files hold a private key.
    pub(super) fn load(files: [&Path; N]) -> Result<(Self, Vec<PathBuf>), TlsError> {
        let texts = files.map(pem::read);
        let print = print(&texts);
        let holds_key = |(file, text): (&Path, &Result<Vec<u8>, _>)| {
            text.as_ref().is_ok_and(|text| pem::holds_key(text)).then(|| file.to_owned())
        };
        let secrets = files.into_iter().zip(&texts).filter_map(holds_key).collect();
        let is_lasting = files.iter().all(|file| file.is_file());
        let files = files.map(Path::to_owned);
        let value = make(&files, texts)?;
        Ok((Self { files, is_lasting, value, print, bad: None, reported: None }, secrets))
    }

    /// What it is called in the log: the first of its files.
    fn name(&self) -> PathBuf {
        self.files.first().cloned().unwrap_or_default()
    }

    fn look(&mut self, now: SystemTime, is_patient: bool, look: &mut Look) {
        if !self.is_lasting {
            return;
        }
        let texts = self.files.each_ref().map(|path| pem::read(path));
        let print = print(&texts);
        if print == self.print {
            (self.bad, self.reported) = (None, None);
            return;
        }
        let name = self.name();
        let made = make(&self.files, texts).and_then(|value: T| value.check(&name, now).map(|()| value));
        match made {
            Ok(value) => {
                (self.value, self.print, self.bad, self.reported) = (value, print, None, None);
                look.swapped.push(name);
            }
            Err(error) => {
                let is_settled = self.bad.replace(print) == Some(print);
                if is_patient && !is_settled {
                    look.is_unsettled = true;
                } else {
                    let is_new = self.reported.replace(print) != Some(print);
                    look.refused.push((error, is_new));
                }
            }
        }
    }
}

fn make<T: Made<N>, const N: usize>(files: &[PathBuf; N], texts: Texts<N>) -> Result<T, TlsError> {
    let mut good = Vec::with_capacity(N);
    for text in texts {
        good.push(text?);
    }
    let mut good = good.iter();
    T::make(files.each_ref().map(|path| (path.as_path(), good.next().map_or(&[][..], Vec::as_slice))))
}

/// Enough to see a change by. Whoever can write the files needs no collision.
fn print<const N: usize>(texts: &Texts<N>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for text in texts {
        let kind = |error: &TlsError| match error {
            TlsError::Read { source, .. } => source.kind(),
            _ => ErrorKind::Other,
        };
        text.as_ref().map_err(kind).hash(&mut hasher);
    }
    hasher.finish()
}
