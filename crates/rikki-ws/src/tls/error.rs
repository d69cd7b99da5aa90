//! What can be wrong with a certificate, a key or the files they come from.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fmt, io};

/// Why a certificate or key cannot be used.
///
/// The text is one line that names the file and says what to do; it includes that of the source, if there is one.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is not well-formed PEM ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468#section-3)).
    BadPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file has no `CERTIFICATE` section.
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file has no private key.
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The private key is protected by a passphrase.
    EncryptedKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in the file is damaged or of a kind that is not supported.
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What the TLS library said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The private key is damaged or of a kind that is not supported.
    BadKey {
        /// The file.
        path: PathBuf,
        /// What the TLS library said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The private key belongs to another certificate.
    KeyMismatch {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the private key.
        key: PathBuf,
    },
    /// The certificate is not valid now: it was replaced by one that has expired, or whose time has not come.
    NotValidNow {
        /// The file.
        path: PathBuf,
    },
    /// A name for a self-signed certificate is neither a DNS name nor an IP address.
    BadName {
        /// The name.
        name: String,
    },
    /// A self-signed certificate was asked for without a name.
    NoNames,
    /// What is to be had by ACME cannot be: a name, the URL of the directory or another setting is wrong.
    Acme {
        /// What is wrong with it.
        why: String,
    },
    /// A file or folder in which certificates are kept, such as those of ACME with its account, cannot be read or written.
    State {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The certificate is for other names than the one that it was issued for.
    OtherName {
        /// The file.
        path: PathBuf,
        /// The name that it is not for.
        name: String,
    },
    /// The system trusts no certificate authorities, or their files cannot be read.
    NoRoots {
        /// What went wrong, if anything did.
        why: Option<String>,
    },
    /// The TLS library refused what it was given.
    Rejected {
        /// What it said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl TlsError {
    #[doc(hidden)]
    pub fn rejected(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Rejected { source: source.into() }
    }

    #[doc(hidden)]
    pub fn bad_certificate(path: &Path, source: rustls::Error) -> Self {
        Self::BadCertificate { path: path.to_owned(), source: plain(source) }
    }

    #[doc(hidden)]
    pub fn bad_key(path: &Path, source: rustls::Error) -> Self {
        Self::BadKey { path: path.to_owned(), source: plain(source) }
    }
}

/// Without the frames that rustls puts around what it says: a "peer certificate" would be taken for the other side's.
fn plain(source: rustls::Error) -> Box<dyn Error + Send + Sync> {
    match source {
        rustls::Error::InvalidCertificate(reason) => reason.to_string().into(),
        rustls::Error::General(reason) => reason.into(),
        other => other.into(),
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::BadPem { path, reason } => write!(f, "{} is not valid PEM: {reason}", path.display()),
            Self::NoCertificate { path } => write!(
                f,
                "no certificate in {}: it needs a section that starts with -----BEGIN CERTIFICATE-----",
                path.display()
            ),
            Self::NoKey { path } => write!(
                f,
                "no private key in {}: it needs a section PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY",
                path.display()
            ),
            Self::EncryptedKey { path } => write!(
                f,
                "the private key in {} is protected by a passphrase: remove it, for instance with `openssl pkey`",
                path.display()
            ),
            Self::BadCertificate { path, source } => {
                write!(f, "a certificate in {} is damaged or not X.509 version 3: {source}", path.display())
            }
            Self::BadKey { path, source } => write!(
                f,
                "the private key in {} is damaged or not RSA (2048 bits or more), ECDSA or Ed25519: {source}",
                path.display()
            ),
            Self::KeyMismatch { certificate, key } => write!(
                f,
                "the private key in {} does not belong to the first certificate in {}",
                key.display(),
                certificate.display()
            ),
            Self::NotValidNow { path } => write!(
                f,
                "the first certificate in {} has expired or is not valid yet: renew it, or set the clock",
                path.display()
            ),
            Self::BadName { name } => write!(f, "{name:?} is neither a DNS name nor an IP address"),
            Self::NoNames => f.write_str("a self-signed certificate needs at least one name"),
            Self::Acme { why } => write!(f, "ACME: {why}"),
            Self::State { path, source } => {
                write!(f, "cannot keep certificates in {}: {source}", path.display())
            }
            Self::OtherName { path, name } => {
                write!(f, "the first certificate in {} is not for {name}", path.display())
            }
            Self::NoRoots { why } => {
                f.write_str(
                    "the system trusts no certificate authorities: install ca-certificates, or name a file of them",
                )?;
                why.as_ref().map_or(Ok(()), |why| write!(f, " ({why})"))
            }
            Self::Rejected { source } => write!(f, "TLS cannot be set up: {source}"),
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read { source, .. } | Self::State { source, .. } => Some(source),
            Self::BadCertificate { source, .. } | Self::BadKey { source, .. } | Self::Rejected { source } => {
                Some(source.as_ref())
            }
            _ => None,
        }
    }
}
