//! A certificate with its key: whom it is for, when it is valid, and which of several a client is shown.

#[cfg(feature = "acme")]
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

#[cfg(feature = "acme")]
use crate::ws::{
    TlsError,
    tls::{certified_key, pem},
};

/// What a listener may show. Clones share the key.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(super) certified: Arc<CertifiedKey>,
    /// DNS names, wildcards among them.
    names: Vec<String>,
    pub(super) begins: SystemTime,
    pub(super) ends: SystemTime,
}

/// How well a certificate goes with the name that a client asks for, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Name,
    Wildcard,
    None,
}

impl Certificate {
    pub(super) fn new(certified: CertifiedKey) -> Self {
        let certified = Arc::new(certified);
        let read = certified.end_entity_cert().ok().and_then(read);
        // What cannot be read here, though a key fits it, is shown to those for whom there is no other.
        let (names, begins, ends) =
            read.unwrap_or_else(|| (Vec::new(), UNIX_EPOCH, SystemTime::now() + Duration::from_secs(u32::MAX.into())));
        Self { certified, names, begins, ends }
    }

    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        (self.begins..=self.ends).contains(&now)
    }

    /// Of a text that holds a chain and its key: one that can be shown for this name now.
    #[cfg(feature = "acme")]
    pub(super) fn for_name(text: &[u8], path: &Path, name: &str, now: SystemTime) -> Result<Self, TlsError> {
        let (chain, key) = (pem::certificates_in(text, path)?, pem::private_key_in(text, path)?);
        let certificate = Self::new(certified_key(chain, key, path, path)?);
        if certificate.fit(name) != Fit::Name {
            return Err(TlsError::OtherName { path: path.to_owned(), name: name.to_owned() });
        }
        if !certificate.is_valid(now) {
            return Err(TlsError::NotValidNow { path: path.to_owned() });
        }
        Ok(certificate)
    }

    /// When it expires.
    #[cfg(feature = "acme")]
    pub(crate) fn ends(&self) -> SystemTime {
        self.ends
    }

    #[cfg(feature = "acme")]
    pub(super) fn lifetime(&self) -> Duration {
        self.ends.duration_since(self.begins).unwrap_or_default()
    }

    fn fit(&self, asked: &str) -> Fit {
        let below = asked.split_once('.').filter(|(label, _)| !label.is_empty()).map(|(_, below)| below);
        let fit = |name: &String| match (name.strip_prefix("*."), below) {
            (Some(pattern), Some(below)) if pattern.eq_ignore_ascii_case(below) => Fit::Wildcard,
            (None, _) if name.eq_ignore_ascii_case(asked) => Fit::Name,
            _ => Fit::None,
        };
        self.names.iter().map(fit).min().unwrap_or(Fit::None)
    }
}

fn read(der: &CertificateDer<'_>) -> Option<(Vec<String>, SystemTime, SystemTime)> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    // Before 1970 is long ago, too.
    let time = |seconds: i64| UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    let validity = certificate.validity();
    Some((names.collect(), time(validity.not_before.timestamp())?, time(validity.not_after.timestamp())?))
}

/// Chooses by the name that a client asks for ([RFC 6066](https://www.rfc-editor.org/rfc/rfc6066#section-3)), and by
/// the signatures that it can verify.
#[derive(Debug, Default)]
pub(super) struct ByName {
    pub(super) certificates: Vec<Certificate>,
    /// Those that are to have one, and have none yet: nobody who asks for one of them is shown another's.
    pub(super) awaited: Vec<String>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

impl ByName {
    /// One for the name, or else the first of all; of several for one name the first whose signature the client can
    /// verify. If there is none, the handshake is to fail for that reason and not for the name.
    fn choose(&self, asked: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let asked = asked.map(|asked| asked.strip_suffix('.').unwrap_or(asked));
        let fit = |certificate: &Certificate| asked.map_or(Fit::None, |asked| certificate.fit(asked));
        let is_known = self.certificates.iter().any(|certificate| fit(certificate) != Fit::None);
        let is_awaited = |asked: &str| self.awaited.iter().any(|name| name.eq_ignore_ascii_case(asked));
        if !is_known && asked.is_some_and(is_awaited) {
            return None;
        }
        let fitting = self.certificates.iter().filter(|certificate| !is_known || fit(certificate) != Fit::None);
        let chosen = fitting.min_by_key(|certificate| {
            let is_verified = certificate.certified.key.choose_scheme(schemes).is_some();
            (!is_verified, fit(certificate))
        });
        chosen.map(|certificate| certificate.certified.clone())
    }
}

#[cfg(all(test, feature = "self-signed"))]
mod tests {
    use rcgen::{CertificateParams, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm};
    use rustls_pki_types::PrivateKeyDer;

    use super::*;
    use crate::ws::tls::provider;

    fn certificate(kind: &'static SignatureAlgorithm, names: &[&str]) -> Certificate {
        let key = testkit::key(kind);
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = provider().key_provider.load_private_key(key).unwrap();
        Certificate::new(CertifiedKey::new(vec![made.der().clone()], key))
    }

    #[test]
    fn which_is_shown() {
        let (ecdsa, rsa) = (SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256);
        let certificates = vec![
            certificate(&PKCS_ECDSA_P256_SHA256, &["a.test", "127.0.0.1"]),
            certificate(&PKCS_RSA_SHA256, &["A.test", "*.Wild.test"]),
            certificate(&PKCS_ECDSA_P256_SHA256, &["b.wild.test"]),
            certificate(&PKCS_ECDSA_P256_SHA256, &["*.test", "*.a.b.test"]),
        ];
        let all = ByName { certificates, awaited: vec!["new.example".to_owned(), "b.test".to_owned()] };
        let check = |asked: Option<&str>, schemes: &[SignatureScheme], expected: usize| {
            let chosen = all.choose(asked, schemes).unwrap();
            let chosen = all.certificates.iter().position(|one| Arc::ptr_eq(&one.certified, &chosen));
            assert_eq!(chosen, Some(expected), "{asked:?} {schemes:?}");
        };
        let both = [rsa, ecdsa];
        // The first is for whoever asks for no name, or for none that is there.
        check(None, &both, 0);
        check(None, &[rsa], 1);
        check(Some("elsewhere.example"), &both, 0);
        check(Some("elsewhere.example"), &[rsa], 1);
        check(Some("127.0.0.1"), &both, 0);
        check(Some(""), &both, 0);
        // Both kinds of one name.
        check(Some("a.test"), &both, 0);
        check(Some("a.test"), &[ecdsa], 0);
        check(Some("a.test"), &[rsa], 1);
        check(Some("A.TEST"), &both, 0);
        check(Some("a.test."), &both, 0);
        // A wildcard is one label, and the name itself goes first.
        check(Some("c.wild.test"), &both, 1);
        check(Some("c.WILD.test"), &both, 1);
        check(Some("b.wild.test"), &both, 2);
        check(Some("b.wild.test"), &[rsa], 1);
        check(Some("d.c.wild.test"), &both, 0);
        check(Some("wild.test"), &both, 3);
        check(Some(".wild.test"), &both, 0);
        check(Some("x.a.b.test"), &both, 3);
        check(Some("*.wild.test"), &both, 1);
        // Nobody can show a signature that this client verifies: it is that of the name that fails.
        check(Some("c.wild.test"), &[ecdsa], 1);
        check(Some("wild.test"), &[rsa], 3);
        check(None, &[SignatureScheme::ED25519], 0);
        // One that has none yet, but for that of a wildcard.
        for awaited in ["new.example", "NEW.example."] {
            assert!(all.choose(Some(awaited), &both).is_none(), "{awaited}");
        }
        check(Some("b.test"), &both, 3);
        check(Some("x.new.example"), &both, 0);
        assert!(ByName::default().choose(None, &both).is_none());
    }
}
