//! The self-signed certificate for development.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{CertificateDer, DnsName, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::ws::TlsError;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The whole validity. Browsers take a certificate by its fingerprint for at most two weeks
/// ([WebTransport](https://www.w3.org/TR/webtransport/#custom-certificate-requirements)), and only with an ECDSA key.
const VALIDITY: Duration = Duration::from_secs(14 * DAY.as_secs());

/// A certificate with its key, before they are checked and loaded.
pub(super) struct Made {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) pem: String,
    pub(super) key: PrivateKeyDer<'static>,
}

/// Makes a certificate for DNS names and IP addresses, valid from a day ago so that a slow clock elsewhere does no
/// harm.
pub(super) fn certificate(names: Vec<String>) -> Result<Made, TlsError> {
    if names.is_empty() {
        return Err(TlsError::NoNames);
    }
    if let Some(name) = names.iter().find(|name| !is_valid(name)) {
        return Err(TlsError::BadName { name: name.clone() });
    }
    let mut params = CertificateParams::new(names).map_err(TlsError::rejected)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(TlsError::rejected)?;
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + now.saturating_sub(DAY);
    params.not_after = params.not_before + VALIDITY;
    params.distinguished_name.push(DnType::CommonName, "rikki development certificate");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];

    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(TlsError::rejected)?;
    let certificate = params.self_signed(&key).map_err(TlsError::rejected)?;
    Ok(Made {
        pem: certificate.pem(),
        certificate: certificate.into(),
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
    })
}

fn is_valid(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok() || DnsName::try_from(name).is_ok()
}
