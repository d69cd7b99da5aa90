//! The self-signed certificate for development, in memory or kept in a folder.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::SupportedCipherSuite;
use rustls::crypto::hash::HashAlgorithm;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, DnsName};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::private;
use crate::ws::TlsError;
use crate::ws::tls::{certified_key, pem, provider};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The whole validity of one that is in memory. Browsers take a certificate by its fingerprint for at most two weeks
/// ([WebTransport](https://www.w3.org/TR/webtransport/#custom-certificate-requirements)), and only with an ECDSA key.
const VALIDITY: Duration = Duration::from_secs(14 * DAY.as_secs());

/// That of one that is kept, which people have told their devices to trust: below the 398 days that some of them take at
/// most.
const VALIDITY_KEPT: Duration = Duration::from_secs(365 * DAY.as_secs());

/// One that is kept is made anew this long before it expires.
const RENEWED_BEFORE: Duration = Duration::from_secs(30 * DAY.as_secs());

/// What the files are called: like none that somebody else may have in a folder. The key is hidden, since the folder may
/// be below one that is served later by a server that does not know of it.
const CERTIFICATE: &str = "rikki-development-cert.pem";
const KEY: &str = ".rikki-development-key.pem";

/// A certificate with its key.
pub(super) struct Made {
    pub(super) certified: CertifiedKey,
    pub(super) pem: String,
    /// Where the key is kept, if it is.
    pub(super) secret: Option<PathBuf>,
}

/// Makes a certificate for DNS names and IP addresses, valid from a day ago so that a slow clock elsewhere does no
/// harm.
pub(super) fn certificate(names: Vec<String>) -> Result<Made, TlsError> {
    let (key, pem) = make(names, VALIDITY)?;
    let certified = load(pem.as_bytes(), key.serialize_pem().as_bytes(), Path::new("memory"), Path::new("memory"))?;
    Ok(Made { certified, pem, secret: None })
}

/// The one that is kept in a folder, if it is for all of these names and valid for a while; else another one, which is
/// kept from then on.
pub(super) fn kept(names: Vec<String>, folder: &Path) -> Result<Made, TlsError> {
    judge(&names)?;
    let folder = std::path::absolute(folder).map_err(|source| state(folder, source))?;
    private::make_folder(&folder)
        .and_then(|()| private::remove_unfinished(&folder))
        .map_err(|source| state(&folder, source))?;
    let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
    let read = |path: &Path| private::read(path).map_err(|source| state(path, source));
    if let (Some(text), Some(key_text)) = (read(&certificate)?, read(&key)?)
        // What cannot be used, as when only one of them was written, is made anew.
        && let Ok(certified) = load(&text, &key_text, &certificate, &key)
        && certified.end_entity_cert().is_ok_and(|der| is_good(der, &names, SystemTime::now()))
    {
        return Ok(Made { certified, pem: String::from_utf8_lossy(&text).into_owned(), secret: Some(key) });
    }
    let (made, pem) = make(names, VALIDITY_KEPT)?;
    let key_text = made.serialize_pem();
    let write =
        |path: &Path, text: &str| private::write(&folder, path, text.as_bytes()).map_err(|source| state(path, source));
    write(&key, &key_text)?;
    write(&certificate, &pem)?;
    let certified = load(pem.as_bytes(), key_text.as_bytes(), &certificate, &key)?;
    Ok(Made { certified, pem, secret: Some(key) })
}

/// The SHA-256 of a certificate, as people compare it: `AB:CD:...`.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> Option<String> {
    let provider = provider();
    let hashes = provider.cipher_suites.iter().map(|suite| match suite {
        SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
        SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
    });
    let hash = hashes.into_iter().find(|hash| hash.algorithm() == HashAlgorithm::SHA256)?;
    let digest = hash.hash(certificate);
    Some(digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}

fn state(path: &Path, source: std::io::Error) -> TlsError {
    TlsError::State { path: path.to_owned(), source }
}

fn judge(names: &[String]) -> Result<(), TlsError> {
    if names.is_empty() {
        return Err(TlsError::NoNames);
    }
    match names.iter().find(|name| !is_valid(name)) {
        Some(name) => Err(TlsError::BadName { name: name.clone() }),
        None => Ok(()),
    }
}

/// A key, and its certificate as PEM.
fn make(names: Vec<String>, validity: Duration) -> Result<(KeyPair, String), TlsError> {
    judge(&names)?;
    let mut params = CertificateParams::new(names).map_err(TlsError::rejected)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(TlsError::rejected)?;
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + now.saturating_sub(DAY);
    params.not_after = params.not_before + validity;
    params.distinguished_name.push(DnType::CommonName, "rikki development certificate");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];

    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(TlsError::rejected)?;
    let pem = params.self_signed(&key).map_err(TlsError::rejected)?.pem();
    Ok((key, pem))
}

fn load(text: &[u8], key_text: &[u8], certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let (chain, private) = (pem::certificates_in(text, certificate)?, pem::private_key_in(key_text, key)?);
    certified_key(chain, private, certificate, key)
}

/// Whether a certificate is for all of these names, now and for a while.
fn is_good(der: &CertificateDer<'_>, names: &[String], now: SystemTime) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    let Ok(now) = now.duration_since(UNIX_EPOCH) else { return false };
    let validity = certificate.validity();
    let within = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    if validity.not_before.timestamp() > within(now) || validity.not_after.timestamp() < within(now + RENEWED_BEFORE) {
        return false;
    }
    let named = certificate.subject_alternative_name().ok().flatten();
    let named: Vec<String> = named.iter().flat_map(|named| &named.value.general_names).filter_map(name_of).collect();
    names.iter().all(|name| {
        let address = name.parse::<IpAddr>().map(|address| address.to_string());
        named.contains(address.as_ref().unwrap_or(name))
    })
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

fn is_valid(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok() || DnsName::try_from(name).is_ok()
}
