//! PEM files into certificates and keys. Whether the two belong together is judged by the caller.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// All certificates of a file in their order; at least one. Other sections are passed over.
#[cfg(feature = "client")]
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
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
#[cfg(feature = "client")]
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    private_key_in(&read(path)?, path)
}

/// The first private key in a text; `path` is what errors call it.
pub fn private_key_in(text: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        // The older form of encryption puts header lines into the section and so ends up as an error of base64.
        Err(_) if is_encrypted(text) => Err(TlsError::EncryptedKey { path: path.to_owned() }),
        Err(pem::Error::NoItemsFound) => Err(TlsError::NoKey { path: path.to_owned() }),
        Err(error) => Err(bad_pem(path, &error)),
    }
}

/// Whether there is a private key in a text, in whatever form, also an encrypted one.
pub fn holds_key(text: &[u8]) -> bool {
    let label = b"PRIVATE KEY-----";
    text.windows(label.len()).any(|part| part == label)
}

/// No file is larger, in bytes; what all systems trust takes a quarter of a MiB.
const LARGEST: u64 = 4 << 20;

/// The text of a file, for the functions that take one.
pub fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text)).map_err(failed)?;
    if text.len() as u64 > LARGEST {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it is larger than 4 MiB")));
    }
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
