//! PEM files into certificates and keys. Whether the two belong together is judged by the caller.

use std::fs;
use std::path::Path;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// All certificates of a file in their order; at least one. Other sections are passed over.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates_in(&read(path)?, path)
}

/// The certificates in a text; `path` is what errors call it.
pub fn certificates_in(text: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates =
        CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>().map_err(|error| bad_pem(path, &error))?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

/// The first private key of a file: PKCS#8, PKCS#1 or SEC1. Other sections are passed over.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        // The older form of encryption puts header lines into the section and so ends up as an error of base64.
        Err(_) if is_encrypted(&text) => Err(TlsError::EncryptedKey { path: path.to_owned() }),
        Err(pem::Error::NoItemsFound) => Err(TlsError::NoKey { path: path.to_owned() }),
        Err(error) => Err(bad_pem(path, &error)),
    }
}

/// Whether there is a private key in a file, in whatever form, also an encrypted one.
pub fn holds_key(path: &Path) -> Result<bool, TlsError> {
    let label = b"PRIVATE KEY-----";
    Ok(read(path)?.windows(label.len()).any(|part| part == label))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut text = fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
    // Editors on Windows put it before the first BEGIN.
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(text)
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// PKCS#8 says it in the label ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468#section-11)), the older forms in a
/// header ([RFC 1421](https://www.rfc-editor.org/rfc/rfc1421#section-4.6.1.1)).
fn is_encrypted(text: &[u8]) -> bool {
    text.split(|byte| matches!(byte, b'\r' | b'\n')).any(|line| {
        line.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || line.starts_with(b"Proc-Type: 4,ENCRYPTED")
    })
}

fn bad_pem(path: &Path, error: &pem::Error) -> TlsError {
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line; the file may be cut off",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line does not end with five dashes",
        pem::Error::Base64Decode(_) => "a section is not valid base64",
        _ => "a section cannot be decoded",
    };
    TlsError::BadPem { path: path.to_owned(), reason }
}
